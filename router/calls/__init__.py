"""The calls of one request: failover, hedging, and the one stream that the caller sees."""
