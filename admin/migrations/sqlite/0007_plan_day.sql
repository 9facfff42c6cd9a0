-- What was called and refused under each plan by day: the catalog is charted from these few rows,
-- however many subscriptions there are. Refusals are reported apart from calls and count the plan
-- that the subscription has when the report comes.
CREATE TABLE ledger_plan_day (
    product        BLOB    NOT NULL,
    plan           BLOB    NOT NULL,
    day            INTEGER NOT NULL,
    calls          INTEGER NOT NULL,
    units          INTEGER NOT NULL,
    bytes_in       INTEGER NOT NULL,
    bytes_out      INTEGER NOT NULL,
    calls_unbilled INTEGER NOT NULL,
    refused        INTEGER NOT NULL,
    PRIMARY KEY (product, plan, day)
) STRICT, WITHOUT ROWID;

INSERT INTO ledger_plan_day
SELECT s.product, s.plan, d.day, SUM(d.calls), SUM(d.units), SUM(d.bytes_in), SUM(d.bytes_out),
    SUM(d.calls_unbilled), 0
FROM ledger_day d JOIN ledger_series s ON s.id = d.series
GROUP BY s.product, s.plan, d.day;

INSERT INTO ledger_plan_day
SELECT s.product_id, s.plan_id, r.day, 0, 0, 0, 0, 0, SUM(r.count)
FROM ledger_refusal r JOIN subscriptions s ON s.id = r.subscription
WHERE true
GROUP BY s.product_id, s.plan_id, r.day
ON CONFLICT (product, plan, day) DO UPDATE SET refused = excluded.refused;
