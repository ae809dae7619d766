-- What analysts ask most, spelled out once. The joins bound the time as well, so that only near partitions are read.

CREATE VIEW quorum.v_votes AS
SELECT v.*,
       v.created_at::date AS day,
       v.provider || '/' || v.model AS seat,
       r.strategy, r.tier, r.caller, r.end_user, r.tags,
       r.outcome AS request_outcome,
       r.agreement, r.quorum_met
FROM quorum.votes v
LEFT JOIN quorum.requests r
    ON r.request_id = v.request_id
    AND r.created_at BETWEEN v.created_at - interval '1 day' AND v.created_at + interval '1 hour';

COMMENT ON VIEW quorum.v_votes IS 'Every vote with the facts of its request; probes have none.';
COMMENT ON COLUMN quorum.v_votes.seat IS 'provider/model, as a request can pin it.';
COMMENT ON COLUMN quorum.v_votes.request_outcome IS 'What came of the whole request.';

CREATE VIEW quorum.v_requests AS
SELECT r.*,
       r.created_at::date AS day,
       v.attempts, v.answered, v.failed, v.providers, v.vote_cost_usd, v.slowest_ms
FROM quorum.requests r
LEFT JOIN LATERAL (
    SELECT count(*) AS attempts,
           count(*) FILTER (WHERE outcome = 'ok') AS answered,
           count(*) FILTER (WHERE outcome = 'failed') AS failed,
           array_agg(DISTINCT provider ORDER BY provider) AS providers,
           sum(cost_usd) AS vote_cost_usd,
           max(duration_ms) AS slowest_ms
    FROM quorum.votes
    WHERE request_id = r.request_id
      AND created_at BETWEEN r.created_at - interval '1 hour' AND r.created_at + interval '1 day'
) v ON true;

COMMENT ON VIEW quorum.v_requests IS 'Every request with a summary of its votes.';
COMMENT ON COLUMN quorum.v_requests.attempts IS 'Votes of any outcome.';
COMMENT ON COLUMN quorum.v_requests.providers IS 'Everyone who was asked.';
COMMENT ON COLUMN quorum.v_requests.vote_cost_usd IS 'The sum over the votes, which cost_usd must equal.';

CREATE VIEW quorum.v_providers_hourly AS
SELECT date_trunc('hour', created_at) AS hour,
       provider, model,
       count(*) AS votes,
       count(*) FILTER (WHERE outcome = 'ok') AS ok,
       count(*) FILTER (WHERE outcome = 'failed') AS failed,
       count(*) FILTER (WHERE error_type IN ('rate_limited', 'quota_exhausted')) AS limited,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE outcome = 'ok') AS p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE outcome = 'ok') AS p95_ms,
       sum(input_tokens) AS input_tokens,
       sum(output_tokens) AS output_tokens,
       sum(cost_usd) AS cost_usd
FROM quorum.votes
GROUP BY 1, 2, 3;

COMMENT ON VIEW quorum.v_providers_hourly IS 'How each model did in each hour (UTC), probes included.';
COMMENT ON COLUMN quorum.v_providers_hourly.limited IS 'Refused by the provider for a minute''s or a day''s quota.';

CREATE VIEW quorum.v_disagreements AS
SELECT r.created_at, r.request_id, r.strategy, r.tier, r.caller, r.agreement, r.margin, r.tie,
       r.answer_key AS decided,
       v.provider, v.model, v.answer_key AS dissent, v.weight
FROM quorum.requests r
JOIN quorum.votes v
    ON v.request_id = r.request_id
    AND v.created_at BETWEEN r.created_at - interval '1 hour' AND r.created_at + interval '1 day'
WHERE v.counted AND NOT v.agreed;

COMMENT ON VIEW quorum.v_disagreements IS 'Every counted vote that lost, beside the answer that won.';
