"""Operators' endpoints: weather, drains, probes, health and metrics, the vote log, the registry."""
