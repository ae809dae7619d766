-- The vote log: one row per request, one per attempt, and what was said, each partitioned by day in UTC.
-- There are no foreign keys: the rows of one request arrive in any order, some of them days later from a spool.

CREATE TABLE quorum.requests (
    request_id     uuid NOT NULL,
    created_at     timestamptz NOT NULL,
    completed_at   timestamptz,
    api            text,
    strategy       text,
    tier           text,
    request_model  text,
    response_model text,
    provider       text,
    outcome        text,
    error_type     text,
    http_status    bigint,
    stream         boolean,
    duration_ms    double precision,
    first_token_ms double precision,
    overhead_ms    double precision,
    input_tokens   bigint,
    output_tokens  bigint,
    cost_usd       double precision,
    votes_planned  bigint,
    votes_cast     bigint,
    votes_counted  bigint,
    agreement      double precision,
    margin         double precision,
    tie            boolean,
    quorum_met     boolean,
    answer_key     text,
    answer_sha256  text,
    rule           jsonb,
    seed           bigint,
    excluded       jsonb,
    caller         text,
    end_user       text,
    tags           jsonb,
    trace_id       text,
    registry_hash  text,
    replica        text,
    PRIMARY KEY (request_id, created_at)
) PARTITION BY RANGE (created_at);

CREATE INDEX ON quorum.requests (created_at);
CREATE INDEX ON quorum.requests (caller, created_at);

COMMENT ON TABLE quorum.requests IS 'One row per request that was answered or refused, whatever came of it.';
COMMENT ON COLUMN quorum.requests.request_id IS 'UUIDv7, so ids sort by time; the X-Request-Id of the answer.';
COMMENT ON COLUMN quorum.requests.created_at IS 'When the request arrived; decides the partition.';
COMMENT ON COLUMN quorum.requests.completed_at IS 'When the last byte of the answer was handed over.';
COMMENT ON COLUMN quorum.requests.api IS 'The wire the caller spoke, such as chat.completions.';
COMMENT ON COLUMN quorum.requests.request_model IS 'What the caller put into "model": auto, a tier, a strategy, or provider/model.';
COMMENT ON COLUMN quorum.requests.response_model IS 'The model that answered, as its provider names it.';
COMMENT ON COLUMN quorum.requests.provider IS 'The provider of the answer; null when there was none.';
COMMENT ON COLUMN quorum.requests.outcome IS 'ok, failed, client_gone or refused.';
COMMENT ON COLUMN quorum.requests.error_type IS 'Why there was no answer: the kind of the decisive failure.';
COMMENT ON COLUMN quorum.requests.http_status IS 'The status the caller received.';
COMMENT ON COLUMN quorum.requests.overhead_ms IS 'What the router itself took: duration_ms without the time spent waiting for providers.';
COMMENT ON COLUMN quorum.requests.input_tokens IS 'Of all votes together, as billed.';
COMMENT ON COLUMN quorum.requests.output_tokens IS 'Of all votes together, as billed.';
COMMENT ON COLUMN quorum.requests.cost_usd IS 'Of all votes together, by the prices of the registry in force.';
COMMENT ON COLUMN quorum.requests.votes_planned IS 'Seats the plan meant to ask.';
COMMENT ON COLUMN quorum.requests.votes_cast IS 'Attempts that came back with an answer.';
COMMENT ON COLUMN quorum.requests.votes_counted IS 'Answers that were valid and entered the decision.';
COMMENT ON COLUMN quorum.requests.agreement IS 'Share of the counted weight that stands behind the answer, 0 to 1.';
COMMENT ON COLUMN quorum.requests.margin IS 'Lead of the winner over the second, as a share of the counted weight.';
COMMENT ON COLUMN quorum.requests.tie IS 'Two answers had equal weight and a rule had to break the tie.';
COMMENT ON COLUMN quorum.requests.quorum_met IS 'Enough valid votes came in; otherwise the decision was degraded or refused.';
COMMENT ON COLUMN quorum.requests.answer_key IS 'The canonical form of the winning answer, by which votes were compared.';
COMMENT ON COLUMN quorum.requests.answer_sha256 IS 'SHA-256 of the answer''s text, in hex: equality without the text.';
COMMENT ON COLUMN quorum.requests.rule IS 'The decision rule with its parameters: enough to recount the votes.';
COMMENT ON COLUMN quorum.requests.seed IS 'The seed of everything that was shuffled for this request.';
COMMENT ON COLUMN quorum.requests.excluded IS 'The models that were not asked, with the reason for each.';
COMMENT ON COLUMN quorum.requests.caller IS 'The id of the API key, never the key.';
COMMENT ON COLUMN quorum.requests.end_user IS 'The "user" the caller named.';
COMMENT ON COLUMN quorum.requests.tags IS 'The caller''s own labels.';
COMMENT ON COLUMN quorum.requests.registry_hash IS 'The registry the request was routed by; see registry_versions.';
COMMENT ON COLUMN quorum.requests.replica IS 'The process that served it.';

CREATE TABLE quorum.votes (
    vote_id             uuid NOT NULL,
    request_id          uuid NOT NULL,
    created_at          timestamptz NOT NULL,
    seq                 bigint NOT NULL,
    role                text NOT NULL,
    provider            text NOT NULL,
    model               text NOT NULL,
    response_model      text,
    adapter             text,
    family              text,
    weight              double precision,
    outcome             text NOT NULL,
    error_type          text,
    http_status         bigint,
    error_message       text,
    retry_after_ms      double precision,
    queue_ms            double precision,
    connect_ms          double precision,
    first_token_ms      double precision,
    duration_ms         double precision,
    input_tokens        bigint,
    cached_tokens       bigint,
    output_tokens       bigint,
    reasoning_tokens    bigint,
    usage_estimated     boolean,
    cost_usd            double precision,
    finish_reason       text,
    answer_key          text,
    answer_sha256       text,
    ballot              jsonb,
    valid               boolean,
    counted             boolean,
    agreed              boolean,
    winner              boolean,
    arrival_ms          double precision,
    sent                boolean,
    stream              boolean,
    provider_request_id text,
    registry_hash       text,
    replica             text,
    PRIMARY KEY (vote_id, created_at)
) PARTITION BY RANGE (created_at);

CREATE INDEX ON quorum.votes (request_id);
CREATE INDEX ON quorum.votes (created_at);
CREATE INDEX ON quorum.votes (provider, model, created_at);

COMMENT ON TABLE quorum.votes IS 'One row per attempt: one call to one model for one request, whatever came of it.';
COMMENT ON COLUMN quorum.votes.vote_id IS 'UUIDv7, made before the attempt; writing the same row twice adds nothing.';
COMMENT ON COLUMN quorum.votes.request_id IS 'The request it belongs to; probes have ids without a row in requests.';
COMMENT ON COLUMN quorum.votes.created_at IS 'When the attempt began; decides the partition.';
COMMENT ON COLUMN quorum.votes.seq IS 'Order of the attempts within the request, from 0.';
COMMENT ON COLUMN quorum.votes.role IS 'answer, draft, ballot, chair, judge, probe, hedge or shadow.';
COMMENT ON COLUMN quorum.votes.model IS 'The model as the registry names it.';
COMMENT ON COLUMN quorum.votes.response_model IS 'The model as the provider reported it.';
COMMENT ON COLUMN quorum.votes.family IS 'Models of one family tend to err together; a council asks one of each.';
COMMENT ON COLUMN quorum.votes.weight IS 'What the vote weighed in the decision.';
COMMENT ON COLUMN quorum.votes.outcome IS
    'ok: answered. failed: the provider did not answer. cancelled_early: no longer needed. client_gone: the caller left. '
    'refused: our own guards let nothing out. unknown_crash: we died before it ended.';
COMMENT ON COLUMN quorum.votes.error_type IS 'The kind of failure, such as rate_limited, timeout or bad_response.';
COMMENT ON COLUMN quorum.votes.http_status IS 'The provider''s status.';
COMMENT ON COLUMN quorum.votes.error_message IS 'The provider''s own words, at most 500 characters.';
COMMENT ON COLUMN quorum.votes.retry_after_ms IS 'How long the provider asked us to wait.';
COMMENT ON COLUMN quorum.votes.queue_ms IS 'Waiting for our own limits before anything was sent.';
COMMENT ON COLUMN quorum.votes.connect_ms IS 'Until a connection was there; null on a reused one.';
COMMENT ON COLUMN quorum.votes.input_tokens IS 'The whole prompt, its cached part included.';
COMMENT ON COLUMN quorum.votes.output_tokens IS 'Everything billed as output, its hidden part included.';
COMMENT ON COLUMN quorum.votes.reasoning_tokens IS 'The hidden part of output_tokens.';
COMMENT ON COLUMN quorum.votes.usage_estimated IS 'The provider reported no tokens, or the attempt was cut: these are our estimate.';
COMMENT ON COLUMN quorum.votes.cost_usd IS 'By the price in the registry in force; null where it names none.';
COMMENT ON COLUMN quorum.votes.answer_key IS 'The canonical form of the answer, by which votes are compared.';
COMMENT ON COLUMN quorum.votes.answer_sha256 IS 'SHA-256 of the answer''s text, in hex.';
COMMENT ON COLUMN quorum.votes.ballot IS 'What a council member ranked, and in which order it was shown.';
COMMENT ON COLUMN quorum.votes.valid IS 'The answer could be read as a vote; false is a spoiled vote.';
COMMENT ON COLUMN quorum.votes.counted IS 'It entered the decision.';
COMMENT ON COLUMN quorum.votes.agreed IS 'It said the same as the winner.';
COMMENT ON COLUMN quorum.votes.winner IS 'Its text is what the caller received.';
COMMENT ON COLUMN quorum.votes.arrival_ms IS 'When it was in, from the start of the request.';
COMMENT ON COLUMN quorum.votes.sent IS 'Something left for the provider, so it may have been billed.';
COMMENT ON COLUMN quorum.votes.provider_request_id IS 'The provider''s own id, for its support.';

CREATE TABLE quorum.payloads (
    request_id uuid NOT NULL,
    vote_id    uuid,
    created_at timestamptz NOT NULL,
    direction  text NOT NULL,
    body       bytea NOT NULL,
    redacted   boolean NOT NULL,
    UNIQUE NULLS NOT DISTINCT (request_id, vote_id, direction, created_at)
) PARTITION BY RANGE (created_at);

COMMENT ON TABLE quorum.payloads IS 'Prompts and answers, kept only as the operator configured; granted to nobody by default.';
COMMENT ON COLUMN quorum.payloads.vote_id IS 'The attempt; null for what the caller itself sent and received.';
COMMENT ON COLUMN quorum.payloads.direction IS 'in: towards a model; out: back from it.';
COMMENT ON COLUMN quorum.payloads.body IS 'The bytes as they were on the wire, or redacted.';
COMMENT ON COLUMN quorum.payloads.redacted IS 'Personal data was replaced before it was written.';

CREATE TABLE quorum.registry_versions (
    registry_hash text PRIMARY KEY,
    loaded_at     timestamptz NOT NULL,
    document      jsonb NOT NULL,
    source        text
);

COMMENT ON TABLE quorum.registry_versions IS 'Every registry that was ever in force; rows of the log refer to it by hash.';
COMMENT ON COLUMN quorum.registry_versions.registry_hash IS 'SHA-256 of the canonical document, in hex.';
COMMENT ON COLUMN quorum.registry_versions.loaded_at IS 'When it was first loaded.';
COMMENT ON COLUMN quorum.registry_versions.document IS 'The registry with references to secrets, never the secrets.';

-- A day's table is made aside and then attached: CREATE TABLE ... PARTITION OF would wait for every running query,
-- and every insert would wait behind it.
CREATE FUNCTION quorum.ensure_partitions(days date[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    day    date;
    child  text;
BEGIN
    FOREACH day IN ARRAY days LOOP
        FOREACH parent IN ARRAY ARRAY['requests', 'votes', 'payloads'] LOOP
            child := parent || to_char(day, '_YYYYMMDD');
            CONTINUE WHEN to_regclass('quorum.' || child) IS NOT NULL;
            PERFORM pg_advisory_xact_lock(hashtext('quorum.ensure_partitions'));
            -- Not by to_regclass, which would still believe its own cache; a query sees what others have committed.
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_class WHERE relname = child AND relnamespace = 'quorum'::regnamespace);
            EXECUTE format('CREATE TABLE quorum.%I (LIKE quorum.%I INCLUDING ALL)', child, parent);
            EXECUTE format(
                'ALTER TABLE quorum.%I ATTACH PARTITION quorum.%I FOR VALUES FROM (%L) TO (%L)', parent, child,
                day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        END LOOP;
    END LOOP;
END $$;

COMMENT ON FUNCTION quorum.ensure_partitions IS 'Makes the tables of these days (UTC) where they are missing.';
