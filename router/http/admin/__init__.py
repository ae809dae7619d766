"""What operators ask of the daemon: seats, drains, probes, health, votes, plans, the registry."""
