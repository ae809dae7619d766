"""One attempt at one seat, from its guards to its vote."""
