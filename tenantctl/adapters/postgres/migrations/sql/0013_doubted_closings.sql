-- A closing that did not last: the logins were found open, and since when they are closed is not known any more; the end
-- of its grace stands, and is only ever moved later.

ALTER TABLE tenants DROP CONSTRAINT tenants_closing_is_one;
ALTER TABLE tenants ADD CONSTRAINT tenants_closing_has_its_grace
    CHECK (logins_closed_at IS NULL OR destroy_after IS NOT NULL);
