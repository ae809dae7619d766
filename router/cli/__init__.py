"""The command `quorum`: one file per verb, a client of the daemon, and what is drawn on a terminal."""
