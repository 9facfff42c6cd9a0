-- The end that a key was made with, which the overlap of a rotation does not change.
ALTER TABLE api_keys ADD COLUMN own_expires_at INTEGER;
UPDATE api_keys SET own_expires_at = expires_at;
