"""Strategies: each gathers some votes and makes one answer of them."""
