"""Values that every room shares: requests, plans, votes, decisions, the registry's meaning, time and settings."""
