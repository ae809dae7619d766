"""What the daemon tells of itself: the log, metrics, and the events both hear of."""
