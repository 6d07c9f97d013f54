-- When a store was last asked to hold a copy, or to let it go: from then on it may be held, and until it was seen let go
-- it is not forgotten. held_at is when it was seen to hold it. Run as registry_owner, with search_path = registry.

ALTER TABLE copies
    ADD COLUMN hold_asked_at timestamptz,
    ADD CONSTRAINT copies_held_are_asked_for CHECK (held_at IS NULL OR hold_asked_at IS NOT NULL);
