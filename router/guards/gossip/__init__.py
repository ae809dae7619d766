"""What replicas tell each other through Redis: holds, open breakers, verdicts."""
