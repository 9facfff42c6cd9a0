-- Sending usage to billing systems: which there are, what is due, what was decided and what became of it.
--
-- Times are whole minutes or days since the Unix epoch, UTC, or milliseconds where a name ends in
-- `_at` or `_since`. Ids are their 16 bytes.

-- A row that was deleted stays, since what was sent names it; `deleted_at` frees its name.
CREATE TABLE destinations (
    id            BLOB    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    settings      TEXT    NOT NULL,
    meters        TEXT    NOT NULL,
    time_window   TEXT    NOT NULL,
    starts_at     INTEGER NOT NULL,
    status        TEXT    NOT NULL,
    pause_reason  TEXT,
    has_secret    INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    deleted_at    INTEGER
) STRICT;

CREATE UNIQUE INDEX destinations_name ON destinations (name) WHERE deleted_at IS NULL;

-- Apart, so that whoever reads a destination does not read its secret along.
CREATE TABLE destination_secrets (
    destination BLOB NOT NULL PRIMARY KEY REFERENCES destinations (id),
    secret      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- In which order days of series were written last. The number rises with each writing, so that
-- whoever has read up to a number finds what has changed since.
CREATE TABLE ledger_touch (
    day    INTEGER NOT NULL,
    series INTEGER NOT NULL,
    touch  INTEGER NOT NULL,
    PRIMARY KEY (day, series)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX ledger_touch_order ON ledger_touch (touch);

INSERT INTO ledger_touch (day, series, touch)
SELECT day, series, ROW_NUMBER() OVER (ORDER BY day, series) FROM ledger_day;

-- Who sends. The fence rises with each change of hands; a sender whose fence is not this one writes
-- nothing.
CREATE TABLE sending_lease (
    singleton  INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    holder     BLOB    NOT NULL,
    fence      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

INSERT INTO sending_lease (singleton, holder, fence, expires_at) VALUES (1, x'', 0, 0);

-- Up to which touch the days are in `sending_due`.
CREATE TABLE sending_cursor (
    destination BLOB    NOT NULL PRIMARY KEY,
    touch       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Days that may hold what was not sent, and when to look. `held` says why something is not sent
-- that could be.
CREATE TABLE sending_due (
    destination BLOB    NOT NULL,
    day         INTEGER NOT NULL,
    series      INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    held        TEXT,
    PRIMARY KEY (destination, day, series)
) STRICT, WITHOUT ROWID;

CREATE INDEX sending_due_order ON sending_due (destination, due_at);

-- What goes in one request, to the byte, and what became of it. The number gives the order.
CREATE TABLE sending_intent (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    destination  BLOB    NOT NULL,
    lane         TEXT    NOT NULL,
    body         BLOB    NOT NULL,
    state        TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,
    doubt_since  INTEGER,
    attempted_at INTEGER,
    due_at       INTEGER NOT NULL,
    losses       INTEGER NOT NULL,
    reason       TEXT,
    created_at   INTEGER NOT NULL
) STRICT;

CREATE INDEX sending_intent_state ON sending_intent (destination, state, lane, id);

CREATE TABLE sending_item (
    destination  BLOB    NOT NULL,
    subscription BLOB    NOT NULL,
    plan         BLOB    NOT NULL,
    meter        TEXT    NOT NULL,
    window_start INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    quantity     INTEGER NOT NULL,
    total        INTEGER NOT NULL,
    booked_at    INTEGER NOT NULL,
    product      BLOB    NOT NULL,
    consumer     BLOB    NOT NULL,
    customer     TEXT    NOT NULL,
    id           BLOB    NOT NULL UNIQUE,
    intent       INTEGER NOT NULL REFERENCES sending_intent (id),
    position     INTEGER NOT NULL,
    PRIMARY KEY (destination, subscription, plan, meter, window_start, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX sending_item_intent ON sending_item (intent, position);
CREATE INDEX sending_item_total ON sending_item (destination, customer, meter, booked_at);

-- What owners decided on deliveries that are parked; without one, on all of them. Whoever sends
-- carries it out.
CREATE TABLE sending_order (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    destination BLOB    NOT NULL,
    delivery    INTEGER,
    decision    TEXT    NOT NULL,
    ordered_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX sending_order_of ON sending_order (destination, id);
