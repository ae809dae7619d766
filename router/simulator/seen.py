"""The requests that the simulated providers have seen: counts, and the last ones without their secrets."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

SECRET_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "proxy-authorization"})
LAST = 200
BODY_LIMIT = 16_384
NAMES = 1_000  # model names counted apart; more count as OTHERS, so that made-up names cannot fill the memory
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request and the status it got (None: no answer); `body` is cut, secrets in `headers` are `***`."""

    provider: str
    model: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    weather: str
    at_s: float
    status: int | None


class Seen:
    """Counts by provider and model, and the last requests in order."""

    def __init__(self) -> None:
        self.providers: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.requests: deque[Visit] = deque(maxlen=LAST)

    def record(self, visit: Visit) -> None:
        """Records one finished or abandoned request."""
        self.requests.append(visit)
        self.providers[visit.provider] += 1
        self.statuses[f"{visit.provider} {visit.status or 'none'}"] += 1
        name = f"{visit.provider}/{visit.model}"
        self.models[name if name in self.models or len(self.models) < NAMES else OTHERS] += 1

    def document(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "providers": dict(self.providers),
            "models": dict(self.models),
            "statuses": dict(self.statuses),
            "requests": [asdict(visit) for visit in self.requests],
        }


def without_secrets(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers in lower case, with `***` for every value that is a secret."""
    return {key.lower(): "***" if key.lower() in SECRET_HEADERS else value for key, value in headers}
