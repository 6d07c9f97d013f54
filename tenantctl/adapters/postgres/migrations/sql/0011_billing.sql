-- What billing says of subscriptions, what could not be understood, and what the world outside is told.
-- Run as registry_owner, with search_path = registry.

-- Each event that was recorded, for ever: its name makes it happen once, its number puts it in order.
CREATE TABLE billing_events (
    source text NOT NULL CHECK (source <> ''),
    id text NOT NULL CHECK (id <> ''),
    kind text NOT NULL CONSTRAINT billing_events_kind CHECK (kind IN (
        'subscription.started', 'subscription.cancelled', 'subscription.resumed', 'subscription.ended',
        'trial.started', 'trial.ended')),
    subscription text NOT NULL CHECK (subscription <> ''),
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    sequence bigint NOT NULL CHECK (sequence >= 1),
    said_at timestamptz NOT NULL,
    cause text NOT NULL,
    instructing_party text NOT NULL,
    effective_at timestamptz,
    digest text NOT NULL,
    outcome text NOT NULL CONSTRAINT billing_events_outcome CHECK (
        outcome IN ('applied', 'unchanged', 'older', 'refused')),
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    actor text NOT NULL DEFAULT session_user,
    PRIMARY KEY (source, id),
    UNIQUE (subscription, sequence)
);

-- The newest event of each subscription; known counts those that have come. A subscription stays its tenant's.
CREATE TABLE subscriptions (
    subscription text PRIMARY KEY,
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    sequence bigint NOT NULL CHECK (sequence >= known),
    kind text NOT NULL,
    leaves_at timestamptz,
    cause text NOT NULL,
    instructing_party text NOT NULL,
    known bigint NOT NULL CHECK (known >= 1)
) WITH (fillfactor = 70);
CREATE INDEX subscriptions_of_tenant ON subscriptions (tenant_uid);

-- What came and is no event, once for each content. body is empty where it must not be kept.
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest text NOT NULL UNIQUE,
    fault text NOT NULL CONSTRAINT dead_letters_fault CHECK (fault IN (
        'too-large', 'malformed', 'unknown-type', 'card-data', 'unknown-tenant', 'conflict')),
    reason text NOT NULL,
    body text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    tries bigint NOT NULL DEFAULT 1,
    settled_at timestamptz,
    settled_as text,
    CONSTRAINT dead_letters_settling_is_one CHECK ((settled_at IS NULL) = (settled_as IS NULL)),
    CONSTRAINT dead_letters_of_cards_are_blank CHECK (fault <> 'card-data' OR body = '')
);
CREATE INDEX dead_letters_open ON dead_letters (id) WHERE settled_at IS NULL;

-- What the world outside is told, in the order of its numbers. Written by whatever makes the change, published later.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_uid text NOT NULL REFERENCES tenants (uid),
    told text NOT NULL CONSTRAINT outbox_told CHECK (told IN (
        'tenantctl.tenant.state-changed', 'tenantctl.tenant.place-changed', 'tenantctl.subscription.refused')),
    content text NOT NULL CHECK (content IS JSON OBJECT),
    written_at timestamptz NOT NULL DEFAULT tenantctl_now(),
    published_at timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;

-- Whatever changes a tenant's state or place announces it in the same transaction: nobody can forget to.
CREATE FUNCTION tenants_announce() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.state <> OLD.state THEN
        INSERT INTO registry.outbox (tenant_uid, told, content) VALUES (
            NEW.uid, 'tenantctl.tenant.state-changed', jsonb_build_object(
                'from', OLD.state, 'to', NEW.state, 'wanted', NEW.wanted, 'destroy_after',
                to_char(NEW.destroy_after AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))::text);
    END IF;
    IF (NEW.region, NEW.generation) <> (OLD.region, OLD.generation) OR NEW.instance IS DISTINCT FROM OLD.instance THEN
        INSERT INTO registry.outbox (tenant_uid, told, content) VALUES (
            NEW.uid, 'tenantctl.tenant.place-changed', jsonb_build_object(
                'region', NEW.region, 'instance', NEW.instance, 'generation', NEW.generation)::text);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tenants_announce AFTER UPDATE ON tenants FOR EACH ROW
WHEN (NEW.state <> OLD.state OR NEW.region <> OLD.region OR NEW.generation <> OLD.generation
      OR NEW.instance IS DISTINCT FROM OLD.instance)
EXECUTE FUNCTION tenants_announce();

CREATE TRIGGER billing_events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse('an event on record stays as it came');
CREATE TRIGGER subscriptions_are_kept BEFORE DELETE OR TRUNCATE ON subscriptions
FOR EACH STATEMENT EXECUTE FUNCTION refuse('a subscription on record stays there');
CREATE TRIGGER subscriptions_go_on BEFORE UPDATE ON subscriptions FOR EACH ROW
WHEN (NEW.sequence < OLD.sequence OR NEW.known < OLD.known OR NEW.tenant_uid <> OLD.tenant_uid)
EXECUTE FUNCTION refuse('a subscription stays its tenant''s, and its numbers only ever grow');
CREATE TRIGGER dead_letters_are_kept BEFORE DELETE OR TRUNCATE ON dead_letters
FOR EACH STATEMENT EXECUTE FUNCTION refuse('what could not be understood is settled, and stays on record');
CREATE TRIGGER outbox_is_kept BEFORE DELETE OR TRUNCATE ON outbox
FOR EACH STATEMENT EXECUTE FUNCTION refuse('what was announced stays on record');

GRANT SELECT ON billing_events, subscriptions, dead_letters, outbox TO registry_app;
GRANT INSERT (
    source, id, kind, subscription, tenant_uid, sequence, said_at, cause, instructing_party, effective_at, digest,
    outcome, reason
) ON billing_events TO registry_app;
GRANT INSERT, UPDATE (sequence, kind, leaves_at, cause, instructing_party, known) ON subscriptions TO registry_app;
GRANT INSERT (digest, fault, reason, body), UPDATE (fault, reason, tries, settled_at, settled_as)
ON dead_letters TO registry_app;
GRANT INSERT (tenant_uid, told, content), UPDATE (published_at) ON outbox TO registry_app;
