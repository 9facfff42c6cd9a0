-- How products are offered to clients that speak of billing: names, prices, features, bundles.

CREATE TABLE offers (
    product_id BYTEA NOT NULL PRIMARY KEY REFERENCES products (id),
    -- The name that clients know it by, where a path cannot have it.
    alias TEXT,
    -- JSON: behaviour, quantities, bundles, prices.
    terms TEXT NOT NULL
);

CREATE UNIQUE INDEX offers_alias ON offers (alias) WHERE alias IS NOT NULL;

CREATE TABLE features (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    product_ids TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE bundles (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    price_interval TEXT NOT NULL,
    on_start_credits BIGINT NOT NULL,
    trial_days BIGINT NOT NULL,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
