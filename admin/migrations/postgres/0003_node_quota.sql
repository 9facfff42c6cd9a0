-- Which gateway has used what of a quota: what shared counters that were emptied are built from again.
-- Each gateway states its own part, so the ledger's has to be told apart by gateway too.

CREATE TABLE ledger_node (
    id   BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    node BYTEA NOT NULL UNIQUE
);

CREATE TABLE ledger_node_quota (
    period_start_at BIGINT NOT NULL,
    series          BIGINT NOT NULL,
    node            BIGINT NOT NULL,
    units           BIGINT NOT NULL,
    PRIMARY KEY (period_start_at, series, node)
);
