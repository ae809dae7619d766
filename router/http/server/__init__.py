"""Connections ahead of aiohttp's handlers: timeouts, request framing, early reject and load shedding."""
