-- Cheaper claims. A claim changes when a tenant is due, so that each index of the table gets a new entry for it: two that
-- begin alike become one. What asks for an instance alone skips from region to region, as a program of the revision
-- before does.
CREATE INDEX tenants_housed ON tenants (region, instance) WHERE state NOT IN ('destroyed', 'forgotten');
DROP INDEX tenants_of_region, tenants_placed;

-- Leases up to `how_many` tenants that are due, by danger and age, and keeps to the limits whoever else claims meanwhile:
-- claims with limits come one after the other, and a second statement sees what the one before has committed. All of it
-- is one statement of the worker's, so that one that is paused holds nobody up. NULL limits are none.
CREATE OR REPLACE FUNCTION claim_due(
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
    chosen tid[];
BEGIN
    IF region_max IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(4703881216230002);
    END IF;
    -- A step goes to the next lane in which something is due; a lane without costs one descent inside the index's scan.
    WITH RECURSIVE heads (region, due_duty, danger, due_at) AS (
        (SELECT region, due_duty, danger, due_at FROM registry.tenants
         WHERE due_at <= moment
         AND (state <> 'forgotten' OR name IS NOT NULL)
         ORDER BY region, due_duty, danger, due_at LIMIT 1)
        UNION ALL
        SELECT following.region, following.due_duty, following.danger, following.due_at
        FROM heads CROSS JOIN LATERAL (
            (SELECT region, due_duty, danger, due_at FROM registry.tenants
             WHERE region = heads.region AND due_duty = heads.due_duty AND danger > heads.danger AND due_at <= moment
             AND (state <> 'forgotten' OR name IS NOT NULL)
             ORDER BY region, due_duty, danger, due_at LIMIT 1)
            UNION ALL
            (SELECT region, due_duty, danger, due_at FROM registry.tenants
             WHERE region = heads.region AND due_duty > heads.due_duty AND due_at <= moment
             AND (state <> 'forgotten' OR name IS NOT NULL)
             ORDER BY region, due_duty, danger, due_at LIMIT 1)
            UNION ALL
            (SELECT region, due_duty, danger, due_at FROM registry.tenants
             WHERE region > heads.region AND due_at <= moment
             AND (state <> 'forgotten' OR name IS NOT NULL)
             ORDER BY region, due_duty, danger, due_at LIMIT 1)
            LIMIT 1
        ) AS following
    ), running AS MATERIALIZED (
        SELECT region, instance, count(*) AS leases FROM registry.tenants
        WHERE region_max IS NOT NULL AND lease_owner IS NOT NULL AND lease_until > moment
        GROUP BY region, instance
    ), candidates AS MATERIALIZED (
        SELECT candidate.place, lanes.region, candidate.instance, lanes.turn, candidate.due_at
        FROM (
            SELECT region, due_duty, danger, due_at + overtaken_for * danger AS turn FROM heads
            WHERE due_duty = ANY (duties)
            -- A region is full also when each of its instances is: what is due there is not read one by one.
            AND region <> ALL (ARRAY(
                SELECT region FROM running GROUP BY region HAVING sum(leases) >= least(region_max, (
                    SELECT coalesce(nullif(count(*) * instance_max, 0), region_max) FROM registry.instances AS one
                    WHERE one.region = running.region AND one.role = 'tenants'))))
            ORDER BY turn
        ) AS lanes CROSS JOIN LATERAL (
            SELECT ctid AS place, instance, due_at FROM registry.tenants
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
        SELECT place, instance,
            sum(places) OVER (PARTITION BY region ORDER BY turn NULLS FIRST, due_at ROWS UNBOUNDED PRECEDING) AS of_region,
            sum(places) OVER (
                PARTITION BY region, instance ORDER BY turn NULLS FIRST, due_at ROWS UNBOUNDED PRECEDING) AS of_instance
        FROM (
            SELECT place, region, instance, turn, due_at, 1 AS places FROM candidates
            UNION ALL
            SELECT NULL, region, instance, NULL, NULL, leases FROM running
        ) AS of_all
    )
    SELECT array_agg(place) INTO chosen FROM placed WHERE place IS NOT NULL AND (
        region_max IS NULL
        OR (of_region <= region_max AND (instance IS NULL OR of_instance <= instance_max)));
    -- They are locked, so that each stays at its place; and this statement sees what the lock has waited past.
    RETURN QUERY
    UPDATE registry.tenants AS claimed
    SET lease_owner = worker, lease_epoch = lease_epoch + 1, lease_intent_id = intent_id, wake_at = NULL,
        leased_at = moment, lease_until = moment + lease_for, due_at = moment + lease_for,
        parked_at = NULL, parked_until = NULL, parked_because = NULL
    WHERE claimed.ctid = ANY (chosen)
    RETURNING claimed.uid, new.lease_owner, new.lease_epoch, new.lease_until, old.lease_owner IS NOT NULL,
        claimed.failures;
END
$$;
