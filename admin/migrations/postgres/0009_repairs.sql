-- What owners decided on differences between the ledger and a destination. Whoever sends carries it
-- out; what was accepted has nothing to be carried out, and counts for as long as the difference
-- stays the same.
CREATE TABLE sending_repair (
    id           BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    destination  BYTEA   NOT NULL,
    subscription BYTEA   NOT NULL,
    plan         BYTEA   NOT NULL,
    meter        TEXT    NOT NULL,
    window_start BIGINT NOT NULL,
    cause        TEXT    NOT NULL,
    repair       TEXT    NOT NULL,
    quantity     BIGINT NOT NULL,
    acknowledged BIGINT NOT NULL,
    note         TEXT,
    ordered_at   BIGINT NOT NULL,
    is_open      BIGINT NOT NULL
);

CREATE INDEX sending_repair_of ON sending_repair (destination, subscription, plan, window_start);
CREATE INDEX sending_repair_open ON sending_repair (destination, id) WHERE is_open = 1;
