-- What costs a destination has in files.
--
-- A row is a period of a subscription. The last one of each subscription, with version 0, is the next
-- that is to be written. Without `due_at` a row waits for usage that comes late.
CREATE TABLE cost_period (
    destination  BLOB    NOT NULL,
    subscription BLOB    NOT NULL,
    -- The day with which the month begins that the period is named after.
    month        TEXT    NOT NULL,
    -- Of a period that was not written: beyond all times.
    end_at       INTEGER NOT NULL,
    -- Files that have something of it.
    version      INTEGER NOT NULL,
    -- JSON: what all files together say of it.
    charges      TEXT    NOT NULL,
    due_at       INTEGER,
    PRIMARY KEY (destination, subscription, month)
) STRICT;

CREATE INDEX cost_period_due ON cost_period (destination, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX cost_period_late ON cost_period (destination, subscription, end_at)
    WHERE due_at IS NULL;

CREATE TABLE cost_cursor (
    destination BLOB    NOT NULL PRIMARY KEY,
    -- Up to which touch of the ledger late usage is looked for.
    touch       INTEGER NOT NULL,
    looked_at   INTEGER NOT NULL,
    -- How many files there are. One that may not be in its place yet is here whole.
    files       INTEGER NOT NULL,
    name        TEXT,
    body        BLOB
) STRICT;
