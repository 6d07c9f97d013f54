-- The journal: one chain of hashes for each tenant, sealed by the database. Run as registry_owner.

CREATE TABLE journal_heads (
    tenant_uid text PRIMARY KEY REFERENCES tenants (uid),
    sequence bigint NOT NULL,
    hash text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE journal (
    tenant_uid text NOT NULL,
    sequence bigint NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    event text NOT NULL CHECK (event <> '' AND position(chr(31) IN event) = 0),
    plan_digest text NOT NULL CHECK (position(chr(31) IN plan_digest) = 0),
    body text NOT NULL CHECK (body IS JSON OBJECT),
    previous text NOT NULL,
    hash text NOT NULL,
    PRIMARY KEY (tenant_uid, sequence)
);

-- A setting can be set by any session for itself. Where the registry was made under a moved clock, as every local one is,
-- that is how it tells the time; anywhere else a session that moves its clock cannot write to the journal, and so cannot
-- change anything that is journalled.
CREATE TABLE clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    movable boolean NOT NULL
);
INSERT INTO clock (movable) VALUES (coalesce(current_setting('tenantctl.clock_offset', true), '') <> '');

-- Whoever inserts gives tenant, event, plan and body. Time, actor, place in the chain and hash are the database's own
-- word, whatever was given. The function runs as registry_owner, who alone may write the heads; session_user is still
-- the login that came in. The hash is the one of tenantctl/model/journal.py.
CREATE FUNCTION journal_seal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head registry.journal_heads;
BEGIN
    IF coalesce(current_setting('tenantctl.clock_offset', true), '') <> ''
        AND NOT EXISTS (SELECT FROM registry.clock WHERE movable)
    THEN
        RAISE EXCEPTION 'this session has moved its clock, which only a local registry allows'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    SELECT * INTO head FROM registry.journal_heads WHERE tenant_uid = NEW.tenant_uid FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO registry.journal_heads (tenant_uid, sequence, hash) VALUES (NEW.tenant_uid, 0, repeat('0', 64))
        ON CONFLICT (tenant_uid) DO NOTHING;
        SELECT * INTO STRICT head FROM registry.journal_heads WHERE tenant_uid = NEW.tenant_uid FOR UPDATE;
    END IF;
    NEW.sequence := head.sequence + 1;
    NEW.at := registry.tenantctl_now();
    NEW.actor := session_user;
    NEW.previous := head.hash;
    NEW.hash := encode(sha256(convert_to(concat_ws(chr(31),
        NEW.previous, NEW.tenant_uid, NEW.sequence,
        to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        NEW.actor, NEW.event, NEW.plan_digest, NEW.body), 'UTF8')), 'hex');
    UPDATE registry.journal_heads SET sequence = NEW.sequence, hash = NEW.hash WHERE tenant_uid = NEW.tenant_uid;
    RETURN NEW;
END
$$;
CREATE TRIGGER journal_seal BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION journal_seal();

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- Privileges refuse these to the application; the triggers refuse them to everyone else, the owner included.
CREATE TRIGGER journal_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
FOR EACH STATEMENT EXECUTE FUNCTION refuse('the journal is only ever added to');
CREATE TRIGGER journal_heads_follow_the_journal BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON journal_heads
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse('only the journal moves its heads');
CREATE TRIGGER intents_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON intents
FOR EACH STATEMENT EXECUTE FUNCTION refuse('a request on record stays as it is');
CREATE TRIGGER tenants_are_kept BEFORE DELETE OR TRUNCATE ON tenants
FOR EACH STATEMENT EXECUTE FUNCTION refuse('a tenant''s row is kept, so that its uid is never used again');

-- What no update of a tenant may do. The conditions cost nothing where they do not hold.
CREATE TRIGGER tenants_destroy_after_moves_later BEFORE UPDATE ON tenants FOR EACH ROW
WHEN (NEW.destroy_after < OLD.destroy_after) EXECUTE FUNCTION refuse('destroy_after only ever moves later');
CREATE TRIGGER tenants_grace_ends_by_return BEFORE UPDATE ON tenants FOR EACH ROW
WHEN (OLD.destroy_after IS NOT NULL AND NEW.destroy_after IS NULL AND NEW.state <> 'active')
EXECUTE FUNCTION refuse('destroy_after is cleared only for a tenant that is active again');
CREATE TRIGGER tenants_counters_grow BEFORE UPDATE ON tenants FOR EACH ROW
WHEN (NEW.uid <> OLD.uid OR NEW.lease_epoch < OLD.lease_epoch OR NEW.generation < OLD.generation
      OR NEW.intent_id < OLD.intent_id)
EXECUTE FUNCTION refuse('uid stays, and epoch, generation and intent only ever grow');
CREATE TRIGGER tenants_died_once BEFORE UPDATE ON tenants FOR EACH ROW
WHEN (OLD.destroyed_at IS NOT NULL AND NEW.destroyed_at IS DISTINCT FROM OLD.destroyed_at)
EXECUTE FUNCTION refuse('the date of a destruction stays as it is');
CREATE TRIGGER residues_lapse_once BEFORE UPDATE ON residues FOR EACH ROW
WHEN (OLD.lapsed_at IS NOT NULL) EXECUTE FUNCTION refuse('a line that has lapsed stays as it is');

CREATE FUNCTION tenants_follow_the_table() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM registry.transitions WHERE source = OLD.state AND target = NEW.state) THEN
        RAISE EXCEPTION 'a tenant that is % cannot become %', OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER tenants_follow_the_table BEFORE UPDATE ON tenants FOR EACH ROW
WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION tenants_follow_the_table();
