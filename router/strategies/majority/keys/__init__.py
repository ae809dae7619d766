"""What answers are compared by, one file for each form an answer can have. Pure."""
