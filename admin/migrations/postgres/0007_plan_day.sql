-- What was called and refused under each plan by day: the catalog is charted from these few rows,
-- however many subscriptions there are. Refusals are reported apart from calls and count the plan
-- that the subscription has when the report comes.
CREATE TABLE ledger_plan_day (
    product        BYTEA  NOT NULL,
    plan           BYTEA  NOT NULL,
    day            BIGINT NOT NULL,
    calls          BIGINT NOT NULL,
    units          BIGINT NOT NULL,
    bytes_in       BIGINT NOT NULL,
    bytes_out      BIGINT NOT NULL,
    calls_unbilled BIGINT NOT NULL,
    refused        BIGINT NOT NULL,
    PRIMARY KEY (product, plan, day)
);

INSERT INTO ledger_plan_day
SELECT s.product, s.plan, d.day, SUM(d.calls)::BIGINT, SUM(d.units)::BIGINT, SUM(d.bytes_in)::BIGINT,
    SUM(d.bytes_out)::BIGINT, SUM(d.calls_unbilled)::BIGINT, 0
FROM ledger_day d JOIN ledger_series s ON s.id = d.series
GROUP BY s.product, s.plan, d.day;

INSERT INTO ledger_plan_day
SELECT s.product_id, s.plan_id, r.day, 0, 0, 0, 0, 0, SUM(r.count)::BIGINT
FROM ledger_refusal r JOIN subscriptions s ON s.id = r.subscription
GROUP BY s.product_id, s.plan_id, r.day
ON CONFLICT (product, plan, day) DO UPDATE SET refused = excluded.refused;
