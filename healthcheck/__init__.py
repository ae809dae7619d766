"""Health: who answers, and how well. Everything it needs is handed in."""
