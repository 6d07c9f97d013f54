-- What workers and people may do, as members of registry_app. There is no DELETE and no TRUNCATE on anything.

GRANT USAGE ON SCHEMA registry TO registry_app;
GRANT SELECT ON ALL TABLES IN SCHEMA registry TO registry_app;

-- Times and actors that the database writes are left out of what may be given.
GRANT INSERT (name, region, role, databases_max), UPDATE (databases_max) ON instances TO registry_app;
GRANT INSERT (
    uid, name, state, wanted, intent_id, intent_effective_at, time_zone, region, instance, generation,
    connection_limit, extensions, due_at
) ON tenants TO registry_app;
GRANT UPDATE (
    name, state, wanted, intent_id, intent_effective_at, time_zone, region, instance, generation, connection_limit,
    extensions, logins_closed_at, destroy_after, destroyed_at, due_at, due_duty, wake_at,
    lease_owner, lease_until, lease_intent_id, lease_epoch
) ON tenants TO registry_app;
GRANT INSERT (tenant_uid, id, kind, cause, instructing_party, effective_at) ON intents TO registry_app;
GRANT INSERT, UPDATE (explanation) ON placements TO registry_app;
GRANT INSERT, UPDATE ON backups, copies, residues TO registry_app;
GRANT INSERT (tenant_uid, code, reason), UPDATE (reason, since, cleared_at) ON alarms TO registry_app;
GRANT INSERT (tenant_uid, event, plan_digest, body) ON journal TO registry_app;
