"""council and synthesize-best: drafts, ballots over them, and one answer made of them."""
