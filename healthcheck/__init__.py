"""Health checks: which models answer, and how well. Everything that the package needs is handed in."""
