-- What people decide beside the plans. Who and when are the database's own word; what was decided is never taken back,
-- only ended, once, by somebody who says why. Run as registry_owner, with search_path = registry.

-- scope is a region, or 'all'.
CREATE TABLE freezes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text NOT NULL CHECK (scope <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    placed_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    placed_by text NOT NULL DEFAULT session_user,
    ended_at timestamptz,
    ended_by text,
    ended_because text CHECK (ended_because <> '')
);
CREATE UNIQUE INDEX freezes_open ON freezes (scope) WHERE ended_at IS NULL;

CREATE TABLE holds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    case_reference text NOT NULL CHECK (case_reference <> ''),
    review_by timestamptz NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    placed_by text NOT NULL DEFAULT session_user,
    ended_at timestamptz,
    ended_by text,
    ended_because text CHECK (ended_because <> '')
);
CREATE UNIQUE INDEX holds_open ON holds (tenant_uid, case_reference) WHERE ended_at IS NULL;

-- What takes two people: a digest names exactly what they agree to.
CREATE TABLE proposals (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{16,64}$'),
    kind text NOT NULL CONSTRAINT proposals_kind CHECK (
        kind IN ('batch', 'waiver', 'erasure', 'opening', 'reconciliation')),
    tenant_uid text REFERENCES tenants (uid),
    content text NOT NULL CHECK (content IS JSON OBJECT),
    made_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    made_by text NOT NULL DEFAULT session_user,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz
);
CREATE INDEX proposals_of_tenant ON proposals (tenant_uid);
CREATE INDEX proposals_unspent ON proposals (expires_at) WHERE spent_at IS NULL;

CREATE TABLE approvals (
    digest text NOT NULL REFERENCES proposals (digest),
    actor text NOT NULL DEFAULT session_user,
    at timestamptz NOT NULL DEFAULT tenantctl_now(),
    PRIMARY KEY (digest, actor)
);

-- Each deactivation and destruction that was begun: what the caps are counted from. batch is the digest of the approved
-- batch that let it through, if one did; it does so once for each member.
CREATE TABLE acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    act text NOT NULL CONSTRAINT acts_act CHECK (act IN ('deactivate', 'destroy')),
    region text NOT NULL,
    at timestamptz NOT NULL DEFAULT tenantctl_now(),
    batch text REFERENCES proposals (digest),
    UNIQUE (batch, tenant_uid)
);
CREATE INDEX acts_lately ON acts (region, act, at);
CREATE INDEX tenants_due_for_destruction ON tenants (region, destroy_after) WHERE state = 'deactivated';
CREATE INDEX tenants_due_for_deactivation ON tenants (region, intent_effective_at)
WHERE state = 'active' AND wanted = 'leaving';
CREATE INDEX tenants_of_region ON tenants (region) WHERE state NOT IN ('destroyed', 'forgotten');

-- The outbox of what customers must be told. `closing` is the closing of logins that it belongs to.
CREATE TABLE notices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    kind text NOT NULL CHECK (kind <> ''),
    closing timestamptz NOT NULL,
    destroy_after timestamptz NOT NULL,
    written_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    delivered_at timestamptz,
    delivered_by text,
    failure text,
    UNIQUE (tenant_uid, kind, closing)
);
CREATE INDEX notices_undelivered ON notices (id) WHERE delivered_at IS NULL;

CREATE FUNCTION end_once() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_because IS NULL THEN
        RAISE EXCEPTION 'a decision is ended once, with a reason' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.ended_at := registry.tenantctl_now();
    NEW.ended_by := session_user;
    RETURN NEW;
END
$$;
CREATE TRIGGER freezes_end_once BEFORE UPDATE ON freezes FOR EACH ROW EXECUTE FUNCTION end_once();
CREATE TRIGGER holds_end_once BEFORE UPDATE ON holds FOR EACH ROW EXECUTE FUNCTION end_once();

CREATE FUNCTION spend_once() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.spent_at IS NOT NULL OR NEW.spent_at IS NULL THEN
        RAISE EXCEPTION 'an approval is spent once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.spent_at := registry.tenantctl_now();
    RETURN NEW;
END
$$;
CREATE TRIGGER proposals_spend_once BEFORE UPDATE ON proposals FOR EACH ROW EXECUTE FUNCTION spend_once();

CREATE FUNCTION deliver_once() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.delivered_at IS NOT NULL THEN
        RAISE EXCEPTION 'a notice is delivered once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.delivered_at IS NOT NULL THEN
        NEW.delivered_at := registry.tenantctl_now();
        NEW.delivered_by := session_user;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER notices_deliver_once BEFORE UPDATE ON notices FOR EACH ROW EXECUTE FUNCTION deliver_once();

CREATE TRIGGER freezes_are_kept BEFORE DELETE OR TRUNCATE ON freezes
FOR EACH STATEMENT EXECUTE FUNCTION refuse('a freeze on record stays there');
CREATE TRIGGER holds_are_kept BEFORE DELETE OR TRUNCATE ON holds
FOR EACH STATEMENT EXECUTE FUNCTION refuse('a hold on record stays there');
CREATE TRIGGER proposals_are_kept BEFORE DELETE OR TRUNCATE ON proposals
FOR EACH STATEMENT EXECUTE FUNCTION refuse('what two people were asked stays on record');
CREATE TRIGGER approvals_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON approvals
FOR EACH STATEMENT EXECUTE FUNCTION refuse('an approval stays as it was given');
CREATE TRIGGER acts_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON acts
FOR EACH STATEMENT EXECUTE FUNCTION refuse('the count of acts is only ever added to');

-- Nothing is destroyed while held or frozen, whatever the program thinks.
CREATE FUNCTION tenants_held_or_frozen_stay() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM registry.holds WHERE tenant_uid = NEW.uid AND ended_at IS NULL) THEN
        RAISE EXCEPTION 'tenant % is under a legal hold', NEW.uid USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT FROM registry.freezes WHERE scope IN ('all', NEW.region) AND ended_at IS NULL) THEN
        RAISE EXCEPTION 'region % is frozen', NEW.region USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER tenants_held_or_frozen_stay BEFORE UPDATE ON tenants FOR EACH ROW
WHEN (NEW.state = 'destroying' AND OLD.state <> 'destroying') EXECUTE FUNCTION tenants_held_or_frozen_stay();

-- Erasure: wanted at once, and nothing newer can be wanted after it.
ALTER TABLE tenants DROP CONSTRAINT tenants_wanted;
ALTER TABLE tenants ADD CONSTRAINT tenants_wanted CHECK (wanted IN ('living', 'leaving', 'erased'));

-- A copy that the store was seen to hold.
ALTER TABLE copies ADD COLUMN held_at timestamptz;

GRANT SELECT ON freezes, holds, proposals, approvals, acts, notices TO registry_app;
GRANT INSERT (scope, reason), UPDATE (ended_because) ON freezes TO registry_app;
GRANT INSERT (tenant_uid, case_reference, review_by), UPDATE (ended_because) ON holds TO registry_app;
GRANT INSERT (digest, kind, tenant_uid, content, expires_at), UPDATE (spent_at) ON proposals TO registry_app;
GRANT INSERT (digest) ON approvals TO registry_app;
GRANT INSERT (tenant_uid, act, region, batch) ON acts TO registry_app;
GRANT INSERT (tenant_uid, kind, closing, destroy_after), UPDATE (delivered_at, failure) ON notices TO registry_app;
