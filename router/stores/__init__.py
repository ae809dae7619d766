"""The two stores, Postgres and Redis: connecting to them, and embedded servers where none is configured."""
