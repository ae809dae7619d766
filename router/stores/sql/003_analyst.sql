-- A role for people who read: GRANT quorum_analyst TO alice. It sees decisions, never prompts and answers.
-- Where the daemon's own user may not make roles, an administrator can run this file; nothing depends on it.

DO $$
BEGIN
    BEGIN
        CREATE ROLE quorum_analyst NOLOGIN;
        COMMENT ON ROLE quorum_analyst IS 'Reads the vote log, but not the payloads.';
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN
            RAISE NOTICE 'the role quorum_analyst was not made: user % may not create roles', current_user;
    END;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'quorum_analyst') THEN
        GRANT USAGE ON SCHEMA quorum TO quorum_analyst;
        GRANT SELECT ON quorum.requests, quorum.votes, quorum.registry_versions, quorum.v_votes, quorum.v_requests,
            quorum.v_providers_hourly, quorum.v_disagreements TO quorum_analyst;
    END IF;
END $$;
