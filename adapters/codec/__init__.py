"""What the wire formats share: bytes to values and back, without knowing any provider."""
