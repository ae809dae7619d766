"""Gossip between replicas through Redis: holds, open breakers and health verdicts."""
