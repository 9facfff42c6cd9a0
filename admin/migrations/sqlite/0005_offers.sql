-- How products are offered to clients that speak of billing: names, prices, features, bundles.

CREATE TABLE offers (
    product_id BLOB NOT NULL PRIMARY KEY REFERENCES products (id),
    -- The name that clients know it by, where a path cannot have it.
    alias TEXT,
    -- JSON: behaviour, quantities, bundles, prices.
    terms TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX offers_alias ON offers (alias) WHERE alias IS NOT NULL;

CREATE TABLE features (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    product_ids TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE bundles (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    price_interval TEXT NOT NULL,
    on_start_credits INTEGER NOT NULL,
    trial_days INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
