-- When a provider or model came into another state, and why. The rows are few, so the table is not partitioned.

CREATE TABLE quorum.state_changes (
    change_id     uuid PRIMARY KEY,
    created_at    timestamptz NOT NULL,
    provider      text NOT NULL,
    model         text,
    state         text NOT NULL,
    reason        text NOT NULL,
    until         timestamptz,
    loud          boolean NOT NULL,
    replica       text,
    registry_hash text
);

CREATE INDEX ON quorum.state_changes (created_at);

COMMENT ON TABLE quorum.state_changes IS
    'One row per change of a provider''s or model''s state, as one replica noticed it.';
COMMENT ON COLUMN quorum.state_changes.change_id IS 'UUIDv7; writing the same row twice adds nothing.';
COMMENT ON COLUMN quorum.state_changes.model IS 'The model as the registry names it; null where the whole provider is meant.';
COMMENT ON COLUMN quorum.state_changes.state IS 'The state it is in since then, such as clear, limited, failing or bad-key.';
COMMENT ON COLUMN quorum.state_changes.reason IS 'Why, often in the provider''s own words, at most 500 characters.';
COMMENT ON COLUMN quorum.state_changes.until IS 'When the state ends by itself; null where it does not, or nobody can know.';
COMMENT ON COLUMN quorum.state_changes.loud IS 'A human should know at once.';
COMMENT ON COLUMN quorum.state_changes.replica IS 'The process that noticed.';
COMMENT ON COLUMN quorum.state_changes.registry_hash IS 'The registry in force then; see registry_versions.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_analyst') THEN
        GRANT SELECT ON quorum.state_changes TO quorum_analyst;
    END IF;
END $$;
