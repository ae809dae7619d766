-- One request with all its votes, in the order of the attempts, as one JSON object. $1: request_id.
SELECT to_jsonb(r) || jsonb_build_object('votes', (
    SELECT coalesce(jsonb_agg(to_jsonb(v) ORDER BY v.seq, v.created_at), '[]'::jsonb)
    FROM quorum.votes v
    WHERE v.request_id = r.request_id
))
FROM quorum.requests r
WHERE r.request_id = $1::uuid;
