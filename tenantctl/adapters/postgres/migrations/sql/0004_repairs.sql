-- A copy that is missing is made again from another, and counted; and a copy may lie in another company's store.

ALTER TABLE copies
    ADD COLUMN repairs integer NOT NULL DEFAULT 0 CHECK (repairs >= 0),
    ADD COLUMN store text NOT NULL DEFAULT 'gs' CONSTRAINT copies_store CHECK (store IN ('gs', 's3'));
