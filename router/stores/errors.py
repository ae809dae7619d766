"""What can go wrong with a store, in three words; nothing above `router/stores` sees a driver's own exception."""

from __future__ import annotations


class StoreError(Exception):
    """A store cannot be used; the message is one sentence for a person and holds no password."""


class StoreDown(StoreError):
    """The store did not answer, or not in time: the same call may succeed later."""


class StoreRefused(StoreError):
    """The store answered that these values can never be stored: trying again is no use."""
