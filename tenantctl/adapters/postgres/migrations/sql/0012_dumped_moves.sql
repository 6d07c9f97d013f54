-- A move by dump and restore: why, how long its customer was told to be out and has agreed to, and since when it is.

ALTER TABLE moves ADD COLUMN dumped_because text CHECK (dumped_because <> '');
ALTER TABLE moves ADD COLUMN expected_seconds integer CHECK (expected_seconds >= 0);
ALTER TABLE moves ADD COLUMN accepted_seconds integer CHECK (accepted_seconds >= expected_seconds);
ALTER TABLE moves ADD COLUMN fenced_at timestamptz;
ALTER TABLE moves ADD CONSTRAINT moves_dumped_as_accepted CHECK (dumped_because IS NULL OR accepted_seconds IS NOT NULL);
GRANT UPDATE (fenced_at) ON moves TO registry_app;
