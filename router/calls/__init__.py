"""The calls of one request: failover, hedging, and the single stream that the caller receives."""
