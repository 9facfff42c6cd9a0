-- What costs a destination has in files.
--
-- A row is a period of a subscription. The last one of each subscription, with version 0, is the next
-- that is to be written. Without `due_at` a row waits for usage that comes late.
CREATE TABLE cost_period (
    destination  BYTEA   NOT NULL,
    subscription BYTEA   NOT NULL,
    -- The day with which the month begins that the period is named after.
    month        TEXT    NOT NULL,
    -- Of a period that was not written: beyond all times.
    end_at       BIGINT NOT NULL,
    -- Files that have something of it.
    version      BIGINT NOT NULL,
    -- JSON: what all files together say of it.
    charges      TEXT    NOT NULL,
    due_at       BIGINT,
    PRIMARY KEY (destination, subscription, month)
);

CREATE INDEX cost_period_due ON cost_period (destination, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX cost_period_late ON cost_period (destination, subscription, end_at)
    WHERE due_at IS NULL;

CREATE TABLE cost_cursor (
    destination BYTEA   NOT NULL PRIMARY KEY,
    -- Up to which touch of the ledger late usage is looked for.
    touch       BIGINT NOT NULL,
    looked_at   BIGINT NOT NULL,
    -- How many files there are. One that may not be in its place yet is here whole.
    files       BIGINT NOT NULL,
    name        TEXT,
    body        BYTEA
);
