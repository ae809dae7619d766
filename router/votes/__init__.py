"""The vote log: what happened to every request and every attempt, from the append to the analyst's query."""
