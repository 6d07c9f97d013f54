-- A look at many tenants together: what still exists of a tenant's backups is found without reading what is over.
CREATE INDEX CONCURRENTLY copies_existing ON copies (tenant_uid)
    WHERE state <> 'lapsed' OR wrapped_key IS NOT NULL OR hold_asked_at IS NOT NULL;
CREATE INDEX CONCURRENTLY backups_begun ON backups (tenant_uid) WHERE state = 'begun';
CREATE INDEX CONCURRENTLY backups_failed ON backups (tenant_uid, verified_at) WHERE state = 'failed';
CREATE INDEX CONCURRENTLY backups_restored ON backups (tenant_uid, verified_at) WHERE verified_level = 'L3';
CREATE INDEX CONCURRENTLY residues_of_looks ON residues (tenant_uid) WHERE lapsed_at IS NULL AND kind NOT IN ('copy', 'key');
