-- A copy that is missing is made again from another, and counted.

ALTER TABLE copies ADD COLUMN repairs integer NOT NULL DEFAULT 0 CHECK (repairs >= 0);
