-- The ledger: what was used, counted and refused.
--
-- Times are whole minutes or days since the Unix epoch, UTC, or milliseconds where a name ends in
-- `_at`, `_min`, `_max` or `_newest`. Ids are their 16 bytes. Tables are strict, so that a sum that
-- leaves 64 bits fails instead of turning into a float.

-- How far the ledger has each epoch of each node's journal. Kept for ever: a forgotten mark would
-- let a late repeat count twice.
CREATE TABLE ledger_mark (
    node            BLOB    NOT NULL,
    epoch           INTEGER NOT NULL,
    through         INTEGER NOT NULL,
    admitted_newest INTEGER NOT NULL,
    PRIMARY KEY (node, epoch)
) STRICT, WITHOUT ROWID;

-- Who used what on which terms. Its number stands for the three in every table of sums.
CREATE TABLE ledger_series (
    id           INTEGER PRIMARY KEY,
    subscription BLOB NOT NULL,
    plan         BLOB NOT NULL,
    product      BLOB NOT NULL,
    UNIQUE (subscription, plan)
) STRICT;

CREATE INDEX ledger_series_product ON ledger_series (product, subscription);
CREATE INDEX ledger_series_plan ON ledger_series (plan, subscription);

-- Sums by the minute of admission. The day leads the key, so that what is being written lies
-- together, and a reader of one subscription still seeks once per day.
CREATE TABLE ledger_minute (
    day            INTEGER NOT NULL,
    series         INTEGER NOT NULL,
    minute_of_day  INTEGER NOT NULL,
    calls          INTEGER NOT NULL,
    units          INTEGER NOT NULL,
    bytes_in       INTEGER NOT NULL,
    bytes_out      INTEGER NOT NULL,
    calls_unbilled INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    truncated      INTEGER NOT NULL,
    PRIMARY KEY (day, series, minute_of_day)
) STRICT, WITHOUT ROWID;

-- The same sums by day, written in the same transaction, so that a year is read from 366 rows.
CREATE TABLE ledger_day (
    day            INTEGER NOT NULL,
    series         INTEGER NOT NULL,
    calls          INTEGER NOT NULL,
    units          INTEGER NOT NULL,
    bytes_in       INTEGER NOT NULL,
    bytes_out      INTEGER NOT NULL,
    calls_unbilled INTEGER NOT NULL,
    attempts       INTEGER NOT NULL,
    truncated      INTEGER NOT NULL,
    PRIMARY KEY (day, series)
) STRICT, WITHOUT ROWID;

-- Units counted against quotas.
CREATE TABLE ledger_quota (
    period_start_at INTEGER NOT NULL,
    series          INTEGER NOT NULL,
    units           INTEGER NOT NULL,
    PRIMARY KEY (period_start_at, series)
) STRICT, WITHOUT ROWID;

-- Batches of records as they came, for as long as there is room. `bytes_through` is the running
-- total of bytes, so that the bytes held are a difference of two rows and not a sum over all.
CREATE TABLE ledger_history (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    node          BLOB    NOT NULL,
    epoch         INTEGER NOT NULL,
    first         INTEGER NOT NULL,
    last          INTEGER NOT NULL,
    admitted_min  INTEGER NOT NULL,
    admitted_max  INTEGER NOT NULL,
    stored_at     INTEGER NOT NULL,
    bytes_through INTEGER NOT NULL,
    records       BLOB    NOT NULL
) STRICT;

-- Which batches hold calls that were admitted in a span of ten seconds. A batch that holds a part
-- of a call of yesterday has a row for yesterday; it does not stretch over the time between.
CREATE TABLE ledger_history_span (
    span  INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    PRIMARY KEY (span, batch)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_refusal (
    day           INTEGER NOT NULL,
    subscription  BLOB    NOT NULL,
    minute_of_day INTEGER NOT NULL,
    reason        TEXT    NOT NULL,
    count         INTEGER NOT NULL,
    PRIMARY KEY (day, subscription, minute_of_day, reason)
) STRICT, WITHOUT ROWID;

-- The key is a version 7 UUID, so its order is that of time.
CREATE TABLE ledger_refusal_named (
    request      BLOB NOT NULL PRIMARY KEY,
    subscription BLOB NOT NULL,
    reason       TEXT NOT NULL,
    node         BLOB NOT NULL
) STRICT, WITHOUT ROWID;
