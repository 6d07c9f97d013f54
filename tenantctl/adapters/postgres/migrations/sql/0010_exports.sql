-- An export in a bucket is a place that holds a tenant's bytes.

ALTER TABLE residues DROP CONSTRAINT residues_kind;
ALTER TABLE residues ADD CONSTRAINT residues_kind CHECK (
    kind IN ('database', 'copy', 'key', 'key-backups', 'scratch', 'export', 'instance-backups', 'registry-backups'));
