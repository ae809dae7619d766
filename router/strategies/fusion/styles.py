"""The two ways a council may be held: ours, and that of the program that made councils known, for comparison."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from adapters.types import Answer
from router.strategies.fusion.ballots import Ballot, read_ballot, read_final_ranking
from router.strategies.fusion.prompts import BALLOT_FORM, FINAL_RANKING_FORM, KARPATHY_WORDINGS, WORDINGS
from router.strategies.fusion.review_order import Design, balanced, fixed


@dataclass(frozen=True, slots=True)
class Style:
    """`repairs` a ballot that cannot be read is asked for again; `least` drafts are needed for ballots to say anything.

    `shows_names` tells whether the chair learns who wrote what, and reads the reviews whole.
    """

    design: Callable[[int, int], Design]
    form: str
    read: Callable[[Answer, Collection[str], str], Ballot]
    repairs: bool
    aggregate: str
    shows_names: bool
    noun: str
    least: int
    wordings: Mapping[str, str]


STYLES: Mapping[str, Style] = MappingProxyType(
    {
        "quorum": Style(
            design=balanced,
            form=BALLOT_FORM,
            read=read_ballot,
            repairs=True,
            aggregate="borda",
            shows_names=False,
            noun="answer",
            least=3,  # of two, each would read the other's alone, and a ranking of one says nothing
            wordings=WORDINGS,
        ),
        "karpathy": Style(
            design=fixed,
            form=FINAL_RANKING_FORM,
            read=read_final_ranking,
            repairs=False,
            aggregate="mean_rank",
            shows_names=True,
            noun="Response",
            least=2,
            wordings=KARPATHY_WORDINGS,
        ),
    }
)
