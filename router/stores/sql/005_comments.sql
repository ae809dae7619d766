-- Comments for analysts: units, and columns that had no comment or an unclear one. Nothing else changes; they stand in
-- a migration of their own because an applied file must keep its checksum.

COMMENT ON TABLE quorum.requests IS 'One row per request, whatever its outcome.';
COMMENT ON COLUMN quorum.requests.strategy IS 'single-query, majority-vote, synthesize-best, ranked-fallback or council.';
COMMENT ON COLUMN quorum.requests.tier IS 'The tier of the registry that the seats were chosen from.';
COMMENT ON COLUMN quorum.requests.stream IS 'The caller asked for a stream.';
COMMENT ON COLUMN quorum.requests.duration_ms IS 'Milliseconds from the arrival of the request to the last byte of the answer.';
COMMENT ON COLUMN quorum.requests.first_token_ms IS 'Milliseconds to the first token of the winning answer; null where it was not streamed.';
COMMENT ON COLUMN quorum.requests.overhead_ms IS 'Milliseconds the router itself took: duration_ms without the time its votes account for.';
COMMENT ON COLUMN quorum.requests.input_tokens IS 'Input tokens of all its votes, as billed.';
COMMENT ON COLUMN quorum.requests.output_tokens IS 'Output tokens of all its votes, as billed.';
COMMENT ON COLUMN quorum.requests.cost_usd IS 'US dollars for all its votes, by the prices of the registry in force.';
COMMENT ON COLUMN quorum.requests.votes_planned IS 'Seats that the plan meant to ask.';
COMMENT ON COLUMN quorum.requests.votes_cast IS 'Attempts that ended with an answer.';
COMMENT ON COLUMN quorum.requests.votes_counted IS 'Answers that were valid and counted in the decision.';
COMMENT ON COLUMN quorum.requests.agreement IS 'Share of the counted weight behind the winning answer, 0 to 1.';
COMMENT ON COLUMN quorum.requests.seed IS 'Seed of every random choice of this request.';
COMMENT ON COLUMN quorum.requests.trace_id IS 'The caller''s trace, where it sent one.';

COMMENT ON TABLE quorum.votes IS 'One row per attempt: one call to one model for one request, whatever its outcome.';
COMMENT ON COLUMN quorum.votes.provider IS 'The provider as the registry names it.';
COMMENT ON COLUMN quorum.votes.adapter IS 'The wire format spoken with it.';
COMMENT ON COLUMN quorum.votes.weight IS 'The weight of the vote in the decision.';
COMMENT ON COLUMN quorum.votes.outcome IS
    'ok: answered. failed: the provider gave no usable answer. cancelled_early: no longer needed. '
    'client_gone: the caller disconnected. refused: our own guards rejected it before it was sent. '
    'unknown_crash: the daemon died before it ended.';
COMMENT ON COLUMN quorum.votes.retry_after_ms IS 'Milliseconds the provider asked us to wait before another call.';
COMMENT ON COLUMN quorum.votes.queue_ms IS 'Milliseconds spent waiting for our own limits before the request was sent.';
COMMENT ON COLUMN quorum.votes.connect_ms IS 'Milliseconds to open the connection; null on a reused one.';
COMMENT ON COLUMN quorum.votes.first_token_ms IS 'Milliseconds from the start of the attempt to its first token; null without a stream.';
COMMENT ON COLUMN quorum.votes.duration_ms IS 'Milliseconds from the start of the attempt to its end.';
COMMENT ON COLUMN quorum.votes.arrival_ms IS 'Milliseconds from the start of the request to the end of the attempt.';
COMMENT ON COLUMN quorum.votes.cached_tokens IS 'The part of input_tokens read from the provider''s prompt cache.';
COMMENT ON COLUMN quorum.votes.cost_usd IS 'US dollars by the price in the registry in force; null where it names none.';
COMMENT ON COLUMN quorum.votes.finish_reason IS 'Why the answer ended: stop, length, tool_calls or content_filter.';
COMMENT ON COLUMN quorum.votes.counted IS 'The vote counted in the decision.';
COMMENT ON COLUMN quorum.votes.agreed IS 'The answer equals the winning one.';
COMMENT ON COLUMN quorum.votes.winner IS 'The answer is what the caller received.';
COMMENT ON COLUMN quorum.votes.sent IS 'Something was sent to the provider, so the call may be billed.';
COMMENT ON COLUMN quorum.votes.stream IS 'The provider was asked for a stream.';
COMMENT ON COLUMN quorum.votes.registry_hash IS 'The registry the attempt was made by; see registry_versions.';
COMMENT ON COLUMN quorum.votes.replica IS 'The process that made the attempt.';

COMMENT ON TABLE quorum.payloads IS 'Prompts and answers, kept only if the operator configured it; granted to no role.';
COMMENT ON COLUMN quorum.payloads.created_at IS 'The created_at of the attempt, or of the request for what the caller itself sent.';
COMMENT ON COLUMN quorum.payloads.direction IS 'in: sent towards a model; out: received from it.';

COMMENT ON TABLE quorum.registry_versions IS 'Every registry that was in force; rows of the log refer to it by hash.';
COMMENT ON COLUMN quorum.registry_versions.source IS 'The name of the file it was read from.';

COMMENT ON TABLE quorum.state_changes IS 'One row per change of a provider''s or model''s state, as one replica noticed it.';
COMMENT ON COLUMN quorum.state_changes.created_at IS 'When the replica noticed it.';
COMMENT ON COLUMN quorum.state_changes.provider IS 'The provider as the registry names it.';
COMMENT ON COLUMN quorum.state_changes.model IS 'The model as the registry names it; null for a state of the whole provider.';
COMMENT ON COLUMN quorum.state_changes.until IS 'When the state ends by itself; null if it does not, or the end is unknown.';
