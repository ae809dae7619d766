"""What may keep a seat from being asked: breakers, holds, limits, and what replicas tell each other."""
