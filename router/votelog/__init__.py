"""The vote log: its rows, the writer that ships them to Postgres, and the queries of it."""
