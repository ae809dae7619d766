"""The five strategies: some votes, then one answer."""
