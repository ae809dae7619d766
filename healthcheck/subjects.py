"""What can be probed: models and their limits, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Mode = Literal["generate", "models", "passive"]
ChargedUnit = Literal["requests", "tokens", "neurons", "usd"]
"""The units that a limit may count; a probe is charged in each of them."""


class SubjectLimit(NamedTuple):
    """So much of a unit per `period_s`; `shared` by all models of the provider, or each model's own."""

    unit: ChargedUnit
    amount: float
    period_s: float
    shared: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to probe; `id` is `provider/model`. One that is not `eligible` now is left alone, but not forgotten.

    `probe_share` is the share of every limit of a day or longer that probes may take.
    """

    id: str
    provider: str
    mode: Mode = "generate"
    interval_s: float = 300.0
    probe_share: float = 0.05
    limits: tuple[SubjectLimit, ...] = ()
    eligible: bool = True

    @property
    def model(self) -> str:
        """The model's id as its provider knows it."""
        return self.id.removeprefix(f"{self.provider}/")
