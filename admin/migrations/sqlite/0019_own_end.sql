-- Of a key that was rotated before step 17, the end of an overlap was taken for its own: what it was made
-- with is what its first rotation found.
UPDATE api_keys SET own_expires_at = first.own_end
FROM (
    SELECT unhex(replace(resource_id, '-', '')) AS id, MIN(revision),
        strftime('%s', json_extract(state_before, '$.expires_at')) * 1000
            + substr(strftime('%f', json_extract(state_before, '$.expires_at')), 4) AS own_end
    FROM audit WHERE action = 'key.rotate' GROUP BY resource_id
) AS first
WHERE api_keys.id = first.id;
