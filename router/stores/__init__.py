"""The two stores, Postgres and Redis: how they are reached, and how they are started where none is configured."""
