-- What limits an instance besides its databases, and whether it takes more; tenants that wait for room, and those on
-- trial; the jurisdiction that a tenant's data does not leave. Run as registry_owner, with search_path = registry.

ALTER TABLE instances
    ADD COLUMN connections_max integer CHECK (connections_max >= 0),
    ADD COLUMN bytes_max bigint CHECK (bytes_max >= 0),
    ADD COLUMN state text NOT NULL DEFAULT 'serving' CONSTRAINT instances_state CHECK (
        state IN ('serving', 'draining'));
GRANT INSERT (connections_max, bytes_max), UPDATE (connections_max, bytes_max, state) ON instances TO registry_app;

-- Who waits for room has no instance, so that the reference to it is not asked about; its region is the one hoped for.
ALTER TABLE tenants
    ALTER COLUMN instance DROP NOT NULL,
    ADD COLUMN kept_in text,
    ADD COLUMN size bigint NOT NULL DEFAULT 0 CONSTRAINT tenants_size_is_counted CHECK (size >= 0),
    ADD CONSTRAINT tenants_living_are_placed CHECK (instance IS NOT NULL OR state IN ('requested', 'forgotten'));
GRANT INSERT (kept_in, size), UPDATE (kept_in, size) ON tenants TO registry_app;
CREATE INDEX tenants_waiting ON tenants (created_at) WHERE instance IS NULL AND state = 'requested';

ALTER TABLE intents DROP CONSTRAINT intents_kind;
ALTER TABLE intents ADD CONSTRAINT intents_kind CHECK (
    kind IN ('create', 'cancel', 'reinstate', 'trial', 'convert'));

-- So far it stood in the explanation of the placement alone.
UPDATE tenants SET kept_in = (
    SELECT explanation ->> 'kept_in' FROM placements
    WHERE tenant_uid = uid AND placements.generation = tenants.generation
);
