-- Which backup a tenant's database is filled from, whose it is, and when the database was seen to be whole.
-- Until then nobody is let into it.

ALTER TABLE tenants
    ADD COLUMN restored_from_backup text REFERENCES backups (id),
    ADD COLUMN restored_from_tenant text REFERENCES tenants (uid),
    ADD COLUMN restored_at timestamptz,
    ADD CONSTRAINT tenants_origin_is_one CHECK (
        (restored_from_backup IS NULL) = (restored_from_tenant IS NULL)
        AND (restored_at IS NULL OR restored_from_backup IS NOT NULL));
GRANT INSERT (restored_from_backup, restored_from_tenant) ON tenants TO registry_app;
GRANT UPDATE (restored_from_backup, restored_from_tenant, restored_at) ON tenants TO registry_app;
