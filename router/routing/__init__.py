"""The use case: from a request and its context to a decision."""
