"""The HTTP surface: wire in, wire out. Nothing below it knows that HTTP exists."""
