"""The daemon as a process: what wires its parts together, serves, multiplies and demonstrates it."""
