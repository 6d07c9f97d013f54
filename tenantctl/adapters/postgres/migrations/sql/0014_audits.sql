-- Audits of buckets and instances: when each place was looked at, and what was found there, open or cleared.
-- Run as registry_owner, with search_path = registry.

CREATE TABLE audits (
    place text PRIMARY KEY,
    begun_at timestamptz,
    audited_at timestamptz,
    unseen_since timestamptz,
    unseen_because text NOT NULL DEFAULT ''
);

CREATE TABLE findings (
    place text NOT NULL REFERENCES audits (place),
    code text NOT NULL,
    subject text NOT NULL,
    grade text NOT NULL CONSTRAINT findings_grade CHECK (grade IN ('critical', 'warning', 'notice')),
    sentence text NOT NULL,
    remedy text NOT NULL,
    since timestamptz NOT NULL DEFAULT tenantctl_now(),
    cleared_at timestamptz,
    PRIMARY KEY (place, code, subject)
);
CREATE INDEX findings_open ON findings (place) WHERE cleared_at IS NULL;

-- What an audit reads of the ledger, page by page in the order in which a store lists; a year's lapsed copies are not in
-- it, and a sight of a copy changes nothing that is.
CREATE INDEX copies_open_by_name ON copies (bucket, object_name COLLATE "C")
WHERE state IN ('intended', 'written', 'lost');

GRANT SELECT ON audits, findings TO registry_app;
GRANT INSERT, UPDATE (begun_at, audited_at, unseen_since, unseen_because) ON audits TO registry_app;
GRANT INSERT (place, code, subject, grade, sentence, remedy), UPDATE (grade, sentence, remedy, since, cleared_at)
ON findings TO registry_app;
