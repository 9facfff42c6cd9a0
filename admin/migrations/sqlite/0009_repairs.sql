-- What owners decided on differences between the ledger and a destination. Whoever sends carries it
-- out; what was accepted has nothing to be carried out, and counts for as long as the difference
-- stays the same.
CREATE TABLE sending_repair (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    destination  BLOB    NOT NULL,
    subscription BLOB    NOT NULL,
    plan         BLOB    NOT NULL,
    meter        TEXT    NOT NULL,
    window_start INTEGER NOT NULL,
    cause        TEXT    NOT NULL,
    repair       TEXT    NOT NULL,
    quantity     INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    note         TEXT,
    ordered_at   INTEGER NOT NULL,
    is_open      INTEGER NOT NULL
) STRICT;

CREATE INDEX sending_repair_of ON sending_repair (destination, subscription, plan, window_start);
CREATE INDEX sending_repair_open ON sending_repair (destination, id) WHERE is_open = 1;
