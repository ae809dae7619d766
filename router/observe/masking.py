"""The mask that replaces secrets in every text about to be logged, stored or shown."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import quote

import orjson

_MIN_SECRET_CHARS = 6  # a shorter one would mask ordinary words


class SecretMask:
    """Replaces known secrets in a text: as they are, URL-encoded, JSON-escaped and in base64."""

    def __init__(self) -> None:
        self._forms: tuple[str, ...] = ()

    def know(self, secrets: Iterable[str]) -> None:
        """Adds secrets. None is ever removed: a provider may quote a rotated key, and it may still be valid."""
        forms = set(self._forms)
        for secret in secrets:
            if len(secret) >= _MIN_SECRET_CHARS:
                in_base64 = base64.b64encode(secret.encode()).decode().rstrip("=")
                forms |= {secret, quote(secret, safe=""), orjson.dumps(secret).decode()[1:-1], in_base64}
        self._forms = tuple(sorted(forms, key=len, reverse=True))  # longest first: a form may contain another

    def clean(self, text: str) -> str:
        """The text with every known secret replaced by `***`."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, "***")
        return text

    def clean_cut(self, text: str) -> str:
        """As `clean`, for a text that may have been cut inside a secret: the beginning of one at its end goes too."""
        text = self.clean(text)
        for form in self._forms:
            for length in range(min(len(form), len(text)), _MIN_SECRET_CHARS - 1, -1):
                if text.endswith(form[:length]):
                    return text[:-length] + "***"
        return text


MASK = SecretMask()
