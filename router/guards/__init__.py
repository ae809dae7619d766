"""Guards: whether a seat may be asked now. Breakers, holds, limits and latency, shared with the other replicas."""
