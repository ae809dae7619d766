"""What the verbs of the command line do; each takes its arguments and the settings, and returns the exit status."""
