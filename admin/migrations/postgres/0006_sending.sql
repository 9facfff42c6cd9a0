-- Sending usage to billing systems: which there are, what is due, what was decided and what became of it.
--
-- Times are whole minutes or days since the Unix epoch, UTC, or milliseconds where a name ends in
-- `_at` or `_since`. Ids are their 16 bytes.

-- A row that was deleted stays, since what was sent names it; `deleted_at` frees its name.
CREATE TABLE destinations (
    id            BYTEA   NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    settings      TEXT    NOT NULL,
    meters        TEXT    NOT NULL,
    time_window   TEXT    NOT NULL,
    starts_at     BIGINT NOT NULL,
    status        TEXT    NOT NULL,
    pause_reason  TEXT,
    has_secret    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    deleted_at    BIGINT
);

CREATE UNIQUE INDEX destinations_name ON destinations (name) WHERE deleted_at IS NULL;

-- Apart, so that whoever reads a destination does not read its secret along.
CREATE TABLE destination_secrets (
    destination BYTEA NOT NULL PRIMARY KEY REFERENCES destinations (id),
    secret      TEXT NOT NULL
);

-- In which order days of series were written last. The number rises with each writing, so that
-- whoever has read up to a number finds what has changed since.
CREATE TABLE ledger_touch (
    day    BIGINT NOT NULL,
    series BIGINT NOT NULL,
    touch  BIGINT NOT NULL,
    PRIMARY KEY (day, series)
);

CREATE UNIQUE INDEX ledger_touch_order ON ledger_touch (touch);

INSERT INTO ledger_touch (day, series, touch)
SELECT day, series, ROW_NUMBER() OVER (ORDER BY day, series) FROM ledger_day;

-- Who sends. The fence rises with each change of hands; a sender whose fence is not this one writes
-- nothing.
CREATE TABLE sending_lease (
    singleton  BIGINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    holder     BYTEA   NOT NULL,
    fence      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

INSERT INTO sending_lease (singleton, holder, fence, expires_at) VALUES (1, ''::BYTEA, 0, 0);

-- Up to which touch the days are in `sending_due`.
CREATE TABLE sending_cursor (
    destination BYTEA   NOT NULL PRIMARY KEY,
    touch       BIGINT NOT NULL
);

-- Days that may hold what was not sent, and when to look. `held` says why something is not sent
-- that could be.
CREATE TABLE sending_due (
    destination BYTEA   NOT NULL,
    day         BIGINT NOT NULL,
    series      BIGINT NOT NULL,
    due_at      BIGINT NOT NULL,
    held        TEXT,
    PRIMARY KEY (destination, day, series)
);

CREATE INDEX sending_due_order ON sending_due (destination, due_at);

-- What goes in one request, to the byte, and what became of it. The number gives the order.
CREATE TABLE sending_intent (
    id           BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    destination  BYTEA   NOT NULL,
    lane         TEXT    NOT NULL,
    body         BYTEA   NOT NULL,
    state        TEXT    NOT NULL,
    attempts     BIGINT NOT NULL,
    doubt_since  BIGINT,
    attempted_at BIGINT,
    due_at       BIGINT NOT NULL,
    losses       BIGINT NOT NULL,
    reason       TEXT,
    created_at   BIGINT NOT NULL
);

CREATE INDEX sending_intent_state ON sending_intent (destination, state, lane, id);

CREATE TABLE sending_item (
    destination  BYTEA   NOT NULL,
    subscription BYTEA   NOT NULL,
    plan         BYTEA   NOT NULL,
    meter        TEXT    NOT NULL,
    window_start BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    window_end   BIGINT NOT NULL,
    quantity     BIGINT NOT NULL,
    total        BIGINT NOT NULL,
    booked_at    BIGINT NOT NULL,
    product      BYTEA   NOT NULL,
    consumer     BYTEA   NOT NULL,
    customer     TEXT    NOT NULL,
    id           BYTEA   NOT NULL UNIQUE,
    intent       BIGINT NOT NULL REFERENCES sending_intent (id),
    position     BIGINT NOT NULL,
    PRIMARY KEY (destination, subscription, plan, meter, window_start, version)
);

CREATE INDEX sending_item_intent ON sending_item (intent, position);
CREATE INDEX sending_item_total ON sending_item (destination, customer, meter, booked_at);

-- What owners decided on deliveries that are parked; without one, on all of them. Whoever sends
-- carries it out.
CREATE TABLE sending_order (
    id          BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    destination BYTEA   NOT NULL,
    delivery    BIGINT,
    decision    TEXT    NOT NULL,
    ordered_at  BIGINT NOT NULL
);

CREATE INDEX sending_order_of ON sending_order (destination, id);
