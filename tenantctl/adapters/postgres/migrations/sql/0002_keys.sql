-- Each backup has an identity of its own: its public half with the backup, its private half wrapped with each copy.

ALTER TABLE backups ADD COLUMN recipient text;
ALTER TABLE copies
    ADD COLUMN wrapped_key text,
    ADD COLUMN verified_at timestamptz,
    ADD COLUMN verified_level text CONSTRAINT copies_verified_level CHECK (verified_level IN ('L1', 'L2', 'L3'));
ALTER TABLE residues DROP CONSTRAINT residues_kind;
ALTER TABLE residues ADD CONSTRAINT residues_kind CHECK (
    kind IN ('database', 'copy', 'key', 'key-backups', 'scratch', 'instance-backups', 'registry-backups'));
