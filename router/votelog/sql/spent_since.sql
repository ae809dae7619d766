-- Calls, tokens and cost of what was sent to a provider, in consecutive periods from a moment on; empty ones left out.
-- Votes that were not sent cost the provider's limits nothing. Unknown tokens and unknown costs count as 0.
-- $1: provider; $2: model (null: any); $3: start of the first period; $4: width of a period.
SELECT date_bin($4::interval, created_at, $3::timestamptz) AS begins,
       count(*) AS requests,
       coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), 0)::bigint AS tokens,
       coalesce(sum(cost_usd), 0)::double precision AS usd
FROM quorum.votes
WHERE sent
  AND provider = $1
  AND ($2::text IS NULL OR model = $2)
  AND created_at >= $3::timestamptz
GROUP BY 1;
