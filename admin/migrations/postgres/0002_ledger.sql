-- The ledger: what was used, counted and refused.
--
-- Times are whole minutes or days since the Unix epoch, UTC, or milliseconds where a name ends in
-- `_at`, `_min`, `_max` or `_newest`. Ids are their 16 bytes. A sum that leaves 64
-- bits fails.

-- How far the ledger has each epoch of each node's journal. Kept for ever: a forgotten mark would
-- let a late repeat count twice.
CREATE TABLE ledger_mark (
    node            BYTEA  NOT NULL,
    epoch           BIGINT NOT NULL,
    through         BIGINT NOT NULL,
    admitted_newest BIGINT NOT NULL,
    PRIMARY KEY (node, epoch)
);

-- Who used what on which terms. Its number stands for the three in every table of sums.
CREATE TABLE ledger_series (
    id           BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    subscription BYTEA  NOT NULL,
    plan         BYTEA  NOT NULL,
    product      BYTEA  NOT NULL,
    UNIQUE (subscription, plan)
);

CREATE INDEX ledger_series_product ON ledger_series (product, subscription);
CREATE INDEX ledger_series_plan ON ledger_series (plan, subscription);

-- Sums by the minute of admission. The day leads the key, so that what is being written lies
-- together, and a reader of one subscription still seeks once per day.
CREATE TABLE ledger_minute (
    day            BIGINT NOT NULL,
    series         BIGINT NOT NULL,
    minute_of_day  BIGINT NOT NULL,
    calls          BIGINT NOT NULL,
    units          BIGINT NOT NULL,
    bytes_in       BIGINT NOT NULL,
    bytes_out      BIGINT NOT NULL,
    calls_unbilled BIGINT NOT NULL,
    attempts       BIGINT NOT NULL,
    truncated      BIGINT NOT NULL,
    PRIMARY KEY (day, series, minute_of_day)
);

-- The same sums by day, written in the same transaction, so that a year is read from 366 rows.
CREATE TABLE ledger_day (
    day            BIGINT NOT NULL,
    series         BIGINT NOT NULL,
    calls          BIGINT NOT NULL,
    units          BIGINT NOT NULL,
    bytes_in       BIGINT NOT NULL,
    bytes_out      BIGINT NOT NULL,
    calls_unbilled BIGINT NOT NULL,
    attempts       BIGINT NOT NULL,
    truncated      BIGINT NOT NULL,
    PRIMARY KEY (day, series)
);

-- Units counted against quotas.
CREATE TABLE ledger_quota (
    period_start_at BIGINT NOT NULL,
    series          BIGINT NOT NULL,
    units           BIGINT NOT NULL,
    PRIMARY KEY (period_start_at, series)
);

-- Batches of records as they came, for as long as there is room. `bytes_through` is the running
-- total of bytes, so that the bytes held are a difference of two rows and not a sum over all.
CREATE TABLE ledger_history (
    id            BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    node          BYTEA  NOT NULL,
    epoch         BIGINT NOT NULL,
    first         BIGINT NOT NULL,
    last          BIGINT NOT NULL,
    admitted_min  BIGINT NOT NULL,
    admitted_max  BIGINT NOT NULL,
    stored_at     BIGINT NOT NULL,
    bytes_through BIGINT NOT NULL,
    records       BYTEA  NOT NULL
);

-- Which batches hold calls that were admitted in a span of ten seconds. A batch that holds a part
-- of a call of yesterday has a row for yesterday; it does not stretch over the time between.
CREATE TABLE ledger_history_span (
    span  BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    PRIMARY KEY (span, batch)
);

CREATE TABLE ledger_refusal (
    day           BIGINT NOT NULL,
    subscription  BYTEA  NOT NULL,
    minute_of_day BIGINT NOT NULL,
    reason        TEXT   NOT NULL,
    count         BIGINT NOT NULL,
    PRIMARY KEY (day, subscription, minute_of_day, reason)
);

-- The key is a version 7 UUID, so its order is that of time.
CREATE TABLE ledger_refusal_named (
    request      BYTEA  NOT NULL PRIMARY KEY,
    subscription BYTEA  NOT NULL,
    reason       TEXT   NOT NULL,
    node         BYTEA  NOT NULL
);
