"""The exceptions of stores; the drivers' own exceptions never leave `router/stores`."""

from __future__ import annotations


class StoreError(Exception):
    """A store cannot be used; the message is one sentence for a person, free of passwords."""


class StoreDown(StoreError):
    """The store did not answer, or not in time. The same call may succeed later."""


class StoreRefused(StoreError):
    """The store rejected the values for good. A retry cannot succeed."""
