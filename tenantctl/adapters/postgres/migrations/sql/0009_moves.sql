-- Relocations: from where to where, and what was decided of them. Of one that has not ended there is one for a tenant.
-- Run as registry_owner, with search_path = registry.

CREATE TABLE moves (
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    generation integer NOT NULL CHECK (generation > source_generation),
    region text NOT NULL,
    instance text NOT NULL REFERENCES instances (name),
    source_region text NOT NULL,
    source_instance text NOT NULL REFERENCES instances (name),
    source_generation integer NOT NULL CHECK (source_generation >= 1),
    cause text NOT NULL,
    instructing_party text NOT NULL,
    requested_at timestamptz NOT NULL,
    not_before timestamptz,
    verifier text,
    schema_digest text,
    undo_because text CHECK (undo_because <> ''),
    cut_over_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (tenant_uid, generation),
    CONSTRAINT moves_end_without_a_secret CHECK (ended_at IS NULL OR verifier IS NULL)
);
CREATE UNIQUE INDEX moves_open ON moves (tenant_uid) WHERE ended_at IS NULL;
GRANT SELECT, INSERT ON moves TO registry_app;
GRANT UPDATE (verifier, schema_digest, undo_because, cut_over_at, ended_at) ON moves TO registry_app;

ALTER TABLE tenants DROP CONSTRAINT tenants_due_duty;
ALTER TABLE tenants ADD CONSTRAINT tenants_due_duty CHECK (due_duty IN (
    '', 'provision', 'backup', 'verify', 'deactivate', 'destroy', 'restore', 'move', 'audit'));
