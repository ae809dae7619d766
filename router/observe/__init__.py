"""Observability: the hub of events, the structured log, metrics, and the mask that keeps secrets out of both."""
