-- Work at fleet scale: in which order, how many at once, what failed how often, what was set aside; and quotas.

ALTER TABLE tenants
    ADD COLUMN danger smallint NOT NULL DEFAULT 0 CONSTRAINT tenants_danger CHECK (danger BETWEEN 0 AND 2),
    ADD COLUMN failures integer NOT NULL DEFAULT 0 CONSTRAINT tenants_failures CHECK (failures >= 0),
    ADD COLUMN leased_at timestamptz,
    ADD COLUMN parked_at timestamptz,
    ADD COLUMN parked_until timestamptz,
    ADD COLUMN parked_because text,
    ADD CONSTRAINT tenants_parking_is_one CHECK (
        (parked_at IS NULL) = (parked_because IS NULL) AND (parked_until IS NULL OR parked_at IS NOT NULL));
GRANT UPDATE (danger, failures, leased_at, parked_at, parked_until, parked_because) ON tenants TO registry_app;

-- A lane is what is due in one region, for one duty, in one class of danger. A claim looks at the first of each lane, and
-- passes over the lanes of a region that is full without a look at what is in them. A program of the revision before
-- finds what is due through the same index, a little slower.
CREATE INDEX tenants_lanes ON tenants (region, due_duty, danger, due_at) WHERE state <> 'forgotten' OR name IS NOT NULL;
DROP INDEX tenants_due;
CREATE INDEX tenants_leased ON tenants (region, instance, lease_until) WHERE lease_owner IS NOT NULL;
CREATE INDEX tenants_parked ON tenants (parked_at) WHERE parked_at IS NOT NULL;
CREATE INDEX tenants_failing ON tenants (uid) WHERE failures > 0;

-- What all workers together may ask of an API. Tokens are counted down below zero: whoever takes one then waits.
CREATE TABLE quotas (
    name text PRIMARY KEY,
    tokens double precision NOT NULL,
    refilled_at timestamptz NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON quotas TO registry_app;

-- Leases up to `how_many` tenants that are due, by danger and age, and keeps to the limits whoever else claims meanwhile:
-- claims with limits come one after the other, and a second statement sees what the one before has committed. All of it
-- is one statement of the worker's, so that one that is paused holds nobody up. NULL limits are none.
CREATE FUNCTION claim_due(
    worker text, lease_for interval, duties text[], how_many integer,
    instance_max integer, region_max integer, overtaken_for interval
) RETURNS TABLE (
    uid text, lease_owner text, lease_epoch bigint, lease_until timestamptz, taken_over boolean, failures integer
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
-- One plan for all, which goes through the indexes in their order: how many are due is never known when it is made.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := registry.tenantctl_now();
BEGIN
    IF region_max IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(4703881216230002);
    END IF;
    RETURN QUERY
    WITH RECURSIVE heads (region, due_duty, danger, due_at) AS (
        (SELECT region, due_duty, danger, due_at FROM registry.tenants
         WHERE state <> 'forgotten' OR name IS NOT NULL
         ORDER BY region, due_duty, danger, due_at LIMIT 1)
        UNION ALL
        SELECT following.region, following.due_duty, following.danger, following.due_at
        FROM heads CROSS JOIN LATERAL (
            SELECT region, due_duty, danger, due_at FROM registry.tenants
            WHERE (region, due_duty, danger) > (heads.region, heads.due_duty, heads.danger)
            AND (state <> 'forgotten' OR name IS NOT NULL)
            ORDER BY region, due_duty, danger, due_at LIMIT 1
        ) AS following
    ), running AS MATERIALIZED (
        SELECT region, instance, count(*) AS leases FROM registry.tenants
        WHERE region_max IS NOT NULL AND lease_owner IS NOT NULL AND lease_until > moment
        GROUP BY region, instance
    ), candidates AS MATERIALIZED (
        SELECT candidate.uid, lanes.region, candidate.instance, lanes.turn, candidate.due_at
        FROM (
            SELECT region, due_duty, danger, due_at + overtaken_for * danger AS turn FROM heads
            WHERE due_at <= moment AND due_duty = ANY (duties)
            -- A region is full also when each of its instances is: what is due there is not read one by one.
            AND region <> ALL (ARRAY(
                SELECT region FROM running GROUP BY region HAVING sum(leases) >= least(region_max, (
                    SELECT coalesce(nullif(count(*) * instance_max, 0), region_max) FROM registry.instances AS one
                    WHERE one.region = running.region AND one.role = 'tenants'))))
            ORDER BY turn
        ) AS lanes CROSS JOIN LATERAL (
            SELECT uid, instance, due_at FROM registry.tenants
            WHERE region = lanes.region AND due_duty = lanes.due_duty AND danger = lanes.danger AND due_at <= moment
            AND (state <> 'forgotten' OR name IS NOT NULL)
            AND coalesce(instance, '') <> ALL (
                ARRAY(SELECT running.instance FROM running WHERE running.region = lanes.region
                    AND leases >= instance_max AND running.instance IS NOT NULL))
            AND (parked_at IS NULL OR parked_until <= moment)
            ORDER BY due_at LIMIT how_many FOR UPDATE SKIP LOCKED
        ) AS candidate
        LIMIT how_many
    ), placed AS (
        -- What runs takes its places before the candidates, and they take theirs in the order of their turns.
        SELECT uid, instance,
            sum(places) OVER (PARTITION BY region ORDER BY turn NULLS FIRST, due_at ROWS UNBOUNDED PRECEDING) AS of_region,
            sum(places) OVER (
                PARTITION BY region, instance ORDER BY turn NULLS FIRST, due_at ROWS UNBOUNDED PRECEDING) AS of_instance
        FROM (
            SELECT uid, region, instance, turn, due_at, 1 AS places FROM candidates
            UNION ALL
            SELECT NULL, region, instance, NULL, NULL, leases FROM running
        ) AS of_all
    ), chosen AS (
        SELECT uid FROM placed WHERE uid IS NOT NULL AND (
            region_max IS NULL
            OR (of_region <= region_max AND (instance IS NULL OR of_instance <= instance_max)))
    )
    UPDATE registry.tenants AS claimed
    SET lease_owner = worker, lease_epoch = lease_epoch + 1, lease_intent_id = intent_id, wake_at = NULL,
        leased_at = moment, lease_until = moment + lease_for, due_at = moment + lease_for,
        parked_at = NULL, parked_until = NULL, parked_because = NULL
    FROM chosen WHERE claimed.uid = chosen.uid
    RETURNING claimed.uid, new.lease_owner, new.lease_epoch, new.lease_until, old.lease_owner IS NOT NULL,
        claimed.failures;
END
$$;
