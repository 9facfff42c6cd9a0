-- Of a key that was rotated before step 17, the end of an overlap was taken for its own: what it was made
-- with is what its first rotation found.
UPDATE api_keys SET own_expires_at = first.own_end
FROM (
    SELECT DISTINCT ON (resource_id) decode(replace(resource_id, '-', ''), 'hex') AS id,
        (EXTRACT(EPOCH FROM (state_before::JSON ->> 'expires_at')::TIMESTAMPTZ) * 1000)::BIGINT
            AS own_end
    FROM audit WHERE action = 'key.rotate' ORDER BY resource_id, revision
) AS first
WHERE api_keys.id = first.id;
