-- The latest votes, newest first, each as one JSON object.
-- $1: earliest created_at; $2: provider; $3: outcome; $4: request_id (each null: any); $5: maximum number of rows.
SELECT to_jsonb(v)
FROM quorum.votes v
WHERE v.created_at >= $1::timestamptz
  AND ($2::text IS NULL OR v.provider = $2)
  AND ($3::text IS NULL OR v.outcome = $3)
  AND ($4::uuid IS NULL OR v.request_id = $4)
ORDER BY v.created_at DESC, v.vote_id DESC
LIMIT $5::bigint;
