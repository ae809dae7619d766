"""The vote log: rows, the writer that ships them to Postgres, and what is asked of them."""
