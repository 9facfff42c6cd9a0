-- What plans cost, and what invoices of the past are made from.

-- JSON text: nothing is looked up by a price.
ALTER TABLE plans ADD COLUMN prices TEXT NOT NULL DEFAULT '[]';

-- A plan as it was, for each time that it was edited or deleted: `terms`, its JSON, were in force
-- until then. What is in force now is in `plans` alone.
CREATE TABLE plan_terms (
    plan_id BYTEA NOT NULL REFERENCES plans (id),
    until_at BIGINT NOT NULL,
    terms TEXT NOT NULL,
    PRIMARY KEY (plan_id, until_at)
);

-- The plans that a subscription has left, and when. The one that it is on is in `subscriptions`.
CREATE TABLE subscription_plans (
    subscription_id BYTEA NOT NULL REFERENCES subscriptions (id),
    until_at BIGINT NOT NULL,
    plan_id BYTEA NOT NULL REFERENCES plans (id),
    PRIMARY KEY (subscription_id, until_at)
);
