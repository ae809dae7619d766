"""Real Postgres and Valkey servers, started from wheels in the data folder."""
