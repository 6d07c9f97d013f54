-- Anchors of the journal: what was locked outside, which heads stand in it, and when the registry was compared with the
-- world. Run as registry_owner, with search_path = registry.

-- content is the exact text of the object. An adopted one was found in the vaults, by a reconciliation: this registry
-- did not make it. A whole one is of all chains.
CREATE TABLE anchors (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    number bigint NOT NULL CHECK (number >= 1),
    made_at timestamptz NOT NULL,
    content text NOT NULL CHECK (content IS JSON OBJECT),
    whole boolean NOT NULL,
    adopted boolean NOT NULL DEFAULT false,
    recorded_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    recorded_by text NOT NULL DEFAULT session_user,
    sealed_at timestamptz
);
CREATE UNIQUE INDEX anchors_number ON anchors (number) WHERE NOT adopted;
CREATE INDEX anchors_made ON anchors (made_at);

-- The links that acts which cannot be undone have rested on.
CREATE TABLE anchored_heads (
    tenant_uid text PRIMARY KEY REFERENCES tenants (uid),
    anchor text NOT NULL REFERENCES anchors (digest),
    sequence bigint NOT NULL,
    hash text NOT NULL
);

CREATE TABLE reconciliations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT tenantctl_now(),
    actor text NOT NULL DEFAULT session_user,
    registry text NOT NULL,
    anchor text NOT NULL,
    findings text NOT NULL,
    content text NOT NULL CHECK (content IS JSON OBJECT)
);

CREATE TRIGGER anchors_are_sealed_once BEFORE UPDATE ON anchors FOR EACH ROW
WHEN (OLD.sealed_at IS NOT NULL OR NEW.sealed_at IS NULL) EXECUTE FUNCTION refuse('an anchor is sealed once');
CREATE TRIGGER anchors_are_kept BEFORE DELETE OR TRUNCATE ON anchors
FOR EACH STATEMENT EXECUTE FUNCTION refuse('an anchor on record stays there');
CREATE TRIGGER reconciliations_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON reconciliations
FOR EACH STATEMENT EXECUTE FUNCTION refuse('a reconciliation on record stays as it is');

GRANT SELECT ON anchors, anchored_heads, reconciliations TO registry_app;
GRANT INSERT (digest, number, made_at, content, whole, adopted), UPDATE (sealed_at) ON anchors TO registry_app;
GRANT INSERT, UPDATE (anchor, sequence, hash) ON anchored_heads TO registry_app;
GRANT INSERT (registry, anchor, findings, content) ON reconciliations TO registry_app;
