"""The HTTP doors: wire in, wire out. Nothing below this room knows that HTTP exists."""
