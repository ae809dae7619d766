"""Limits, kept exactly over all replicas: counted in Redis, recovered from the vote log."""
