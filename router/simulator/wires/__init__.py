"""The wire formats of the simulated providers, one file each."""
