-- The registry's tables. Run as registry_owner, with search_path = registry.

-- The registry's time. STABLE and inlined, so that an index on a time can be used with it; the names in it are resolved
-- here and now, so no caller's search_path changes what it means. Only a local cloud sets the offset.
CREATE FUNCTION tenantctl_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN statement_timestamp() + coalesce(nullif(current_setting('tenantctl.clock_offset', true), ''), '0')::interval;

CREATE TABLE instances (
    name text PRIMARY KEY,
    region text NOT NULL,
    role text NOT NULL CONSTRAINT instances_role CHECK (role IN ('tenants', 'verify')),
    databases_max integer NOT NULL CHECK (databases_max >= 0),
    added_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    added_by text NOT NULL DEFAULT session_user,
    UNIQUE (name, region)
);

-- What may follow what: the model's table of transitions, without the events.
CREATE TABLE transitions (
    source text NOT NULL,
    target text NOT NULL,
    PRIMARY KEY (source, target)
);
INSERT INTO transitions (source, target) VALUES
    ('requested', 'active'), ('requested', 'forgotten'),
    ('active', 'moving'), ('moving', 'active'),
    ('active', 'deactivating'), ('deactivating', 'deactivated'),
    ('deactivating', 'active'), ('deactivated', 'active'),
    ('deactivated', 'destroying'), ('active', 'destroying'), ('moving', 'destroying'), ('deactivating', 'destroying'),
    ('destroying', 'destroyed'), ('destroyed', 'forgotten');

-- A tenant's uid is its identity for ever: nobody may delete a row, so none is used again.
-- due_duty stands before due_at in the one index that answers what is due and what was abandoned: leasing moves due_at
-- to the lease's end. An empty due_duty means that the next step is not known yet.
CREATE TABLE tenants (
    uid text PRIMARY KEY CHECK (uid ~ '^[a-z0-9]+$'),
    name text,
    state text NOT NULL CONSTRAINT tenants_state CHECK (state IN (
        'requested', 'active', 'moving', 'deactivating', 'deactivated', 'destroying', 'destroyed', 'forgotten')),
    wanted text NOT NULL CONSTRAINT tenants_wanted CHECK (wanted IN ('living', 'leaving')),
    intent_id bigint NOT NULL,
    intent_effective_at timestamptz NOT NULL,
    time_zone text NOT NULL,
    region text NOT NULL,
    instance text NOT NULL,
    generation integer NOT NULL CHECK (generation >= 1),
    connection_limit integer NOT NULL,
    extensions text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    logins_closed_at timestamptz,
    destroy_after timestamptz,
    destroyed_at timestamptz,
    due_at timestamptz NOT NULL,
    due_duty text NOT NULL DEFAULT '' CONSTRAINT tenants_due_duty CHECK (due_duty IN (
        '', 'provision', 'backup', 'verify', 'deactivate', 'destroy', 'restore', 'audit')),
    wake_at timestamptz,
    lease_owner text,
    lease_until timestamptz,
    lease_intent_id bigint,
    lease_epoch bigint NOT NULL DEFAULT 0,
    FOREIGN KEY (instance, region) REFERENCES instances (name, region),
    CONSTRAINT tenants_closing_is_one CHECK ((logins_closed_at IS NULL) = (destroy_after IS NULL)),
    CONSTRAINT tenants_lease_is_one CHECK (
        (lease_owner IS NULL) = (lease_until IS NULL) AND (lease_owner IS NULL) = (lease_intent_id IS NULL)),
    CONSTRAINT tenants_dead_have_a_date CHECK (state <> 'destroyed' OR destroyed_at IS NOT NULL),
    CONSTRAINT tenants_blanked_are_dead CHECK (
        name IS NOT NULL OR state IN ('requested', 'destroyed', 'forgotten'))
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0
);
CREATE UNIQUE INDEX tenants_living_name ON tenants (name) WHERE state NOT IN ('destroyed', 'forgotten');
CREATE INDEX tenants_due ON tenants (due_duty, due_at) WHERE state <> 'forgotten' OR name IS NOT NULL;
CREATE INDEX tenants_placed ON tenants (instance) WHERE state NOT IN ('destroyed', 'forgotten');

-- Requests, numbered for each tenant: two of the same number cannot both be written.
CREATE TABLE intents (
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    id bigint NOT NULL CHECK (id >= 1),
    kind text NOT NULL CONSTRAINT intents_kind CHECK (kind IN ('create', 'cancel', 'reinstate')),
    cause text NOT NULL,
    instructing_party text NOT NULL,
    effective_at timestamptz NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    actor text NOT NULL DEFAULT session_user,
    PRIMARY KEY (tenant_uid, id)
);

CREATE TABLE placements (
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    generation integer NOT NULL,
    explanation jsonb NOT NULL,
    PRIMARY KEY (tenant_uid, generation)
);

CREATE TABLE backups (
    id text PRIMARY KEY,
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    slot text NOT NULL,
    retention_class text NOT NULL CONSTRAINT backups_retention_class CHECK (
        retention_class IN ('daily', 'weekly', 'monthly', 'final')),
    state text NOT NULL CONSTRAINT backups_state CHECK (state IN ('begun', 'complete', 'short', 'failed')),
    begun_at timestamptz NOT NULL,
    completed_at timestamptz,
    verified_at timestamptz,
    verified_level text CONSTRAINT backups_verified_level CHECK (verified_level IN ('L1', 'L2', 'L3')),
    tables integer,
    rows bigint,
    size bigint,
    sha256 text,
    forced_row_security text[] NOT NULL
);
CREATE UNIQUE INDEX backups_slot ON backups (tenant_uid, slot) WHERE state IN ('begun', 'complete');
CREATE INDEX backups_of_tenant ON backups (tenant_uid, begun_at);

CREATE TABLE copies (
    backup_id text NOT NULL REFERENCES backups (id),
    region text NOT NULL,
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    bucket text NOT NULL,
    object_name text NOT NULL,
    state text NOT NULL CONSTRAINT copies_state CHECK (
        state IN ('intended', 'written', 'lost', 'lapsed', 'absent')),
    intended_at timestamptz NOT NULL,
    lapses_at timestamptz NOT NULL,
    unreadable_after timestamptz NOT NULL,
    size bigint,
    crc32c text,
    written_at timestamptz,
    seen_at timestamptz,
    PRIMARY KEY (backup_id, region)
);
CREATE INDEX copies_of_tenant ON copies (tenant_uid);

CREATE TABLE residues (
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    id text NOT NULL,
    kind text NOT NULL CONSTRAINT residues_kind CHECK (
        kind IN ('database', 'copy', 'scratch', 'instance-backups', 'registry-backups')),
    place text NOT NULL,
    made_at timestamptz NOT NULL,
    unreadable_after timestamptz,
    lapsed_at timestamptz,
    proof text,
    PRIMARY KEY (tenant_uid, id)
);

CREATE TABLE alarms (
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    code text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT tenantctl_now(),
    cleared_at timestamptz,
    PRIMARY KEY (tenant_uid, code)
);
CREATE INDEX alarms_open ON alarms (since) WHERE cleared_at IS NULL;
