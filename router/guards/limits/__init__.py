"""Limits kept to the call over all replicas: counted in Redis, recovered from the vote log."""
