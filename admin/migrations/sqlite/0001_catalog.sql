-- The catalog: what owners edit, who may edit it, and what has changed.
-- Times are milliseconds since the Unix epoch. Ids are the 16 bytes of a UUID. Lists and objects
-- that nothing is looked up by are JSON text.

-- One row: where the catalog stands.
CREATE TABLE catalog_state (
    singleton INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1),
    revision INTEGER NOT NULL,
    -- Frames ever written to `changes`; an empty revision counts as one.
    frames_through INTEGER NOT NULL,
    -- Which form the frames in `changes` have.
    frames_format INTEGER NOT NULL
) STRICT;

INSERT INTO catalog_state (singleton, revision, frames_through, frames_format)
VALUES (1, 0, 0, 0);

-- Products, plans and consumers that were deleted stay as rows, since usage and subscriptions
-- name them for ever; `deleted_at` hides them and frees their names.
CREATE TABLE products (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    gateway_endpoint TEXT,
    status TEXT NOT NULL,
    hosts TEXT NOT NULL,
    routes TEXT NOT NULL,
    upstream TEXT NOT NULL,
    key_query_parameter TEXT,
    body_bytes_max INTEGER,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX products_name ON products (name) WHERE deleted_at IS NULL;

-- A host name leads to one product.
CREATE TABLE product_hosts (
    host TEXT NOT NULL PRIMARY KEY,
    product_id BLOB NOT NULL REFERENCES products (id)
) STRICT;

CREATE INDEX product_hosts_product ON product_hosts (product_id);

CREATE TABLE plans (
    id BLOB NOT NULL PRIMARY KEY,
    product_id BLOB NOT NULL REFERENCES products (id),
    name TEXT NOT NULL,
    billing_mode TEXT NOT NULL,
    price_label TEXT NOT NULL,
    monthly_quota INTEGER,
    rate_limit INTEGER,
    burst INTEGER,
    quota_mode TEXT NOT NULL,
    period TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    counted_outcomes TEXT NOT NULL,
    billed_outcomes TEXT NOT NULL,
    outage_mode TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE UNIQUE INDEX plans_name ON plans (product_id, name) WHERE deleted_at IS NULL;

CREATE TABLE consumers (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT,
    external_ids TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE TABLE subscriptions (
    id BLOB NOT NULL PRIMARY KEY,
    consumer_id BLOB NOT NULL REFERENCES consumers (id),
    product_id BLOB NOT NULL REFERENCES products (id),
    plan_id BLOB NOT NULL REFERENCES plans (id),
    status TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    canceled_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX subscriptions_consumer ON subscriptions (consumer_id, id);
CREATE INDEX subscriptions_product ON subscriptions (product_id, id);
CREATE INDEX subscriptions_plan ON subscriptions (plan_id, id);

CREATE TABLE api_keys (
    id BLOB NOT NULL PRIMARY KEY,
    subscription_id BLOB NOT NULL REFERENCES subscriptions (id),
    digest BLOB NOT NULL,
    prefix TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_subscription ON api_keys (subscription_id, created_at, id);

-- Administrators' tokens.
CREATE TABLE tokens (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;

-- What gateways are told: the frames of each revision, kept for those that come back.
CREATE TABLE revisions (
    revision INTEGER NOT NULL PRIMARY KEY,
    committed_at INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    -- `catalog_state.frames_through` after it, so that old ones can be cut off by size.
    frames_through INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX revisions_frames ON revisions (frames_through);

CREATE TABLE changes (
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (revision, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    resource TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    -- JSON of what it was and what it became; NULL before a creation and after a deletion.
    state_before TEXT,
    state_after TEXT,
    PRIMARY KEY (revision, position)
) STRICT;

-- Answers to requests that carried an `Idempotency-Key`, without secrets.
CREATE TABLE idempotency (
    actor TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    status INTEGER NOT NULL,
    location TEXT,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (actor, idempotency_key)
) STRICT;

CREATE INDEX idempotency_age ON idempotency (created_at);
