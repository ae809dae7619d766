"""What stands before aiohttp's handlers: connections, framing, early rejects, load shedding."""
