-- Which gateway has used what of a quota: what shared counters that were emptied are built from again.
-- Each gateway states its own part, so the ledger's has to be told apart by gateway too.

CREATE TABLE ledger_node (
    id   INTEGER PRIMARY KEY,
    node BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE ledger_node_quota (
    period_start_at INTEGER NOT NULL,
    series          INTEGER NOT NULL,
    node            INTEGER NOT NULL,
    units           INTEGER NOT NULL,
    PRIMARY KEY (period_start_at, series, node)
) STRICT, WITHOUT ROWID;
