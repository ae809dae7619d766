-- The latest changes of state, newest first, each as one JSON object.
-- $1: earliest created_at; $2: provider (null: any); $3: maximum number of rows.
SELECT to_jsonb(c)
FROM quorum.state_changes c
WHERE c.created_at >= $1::timestamptz
  AND ($2::text IS NULL OR c.provider = $2)
ORDER BY c.created_at DESC, c.change_id DESC
LIMIT $3::bigint;
