"""The wire formats of the simulated providers, one file each, and files for what they share or check at length."""
