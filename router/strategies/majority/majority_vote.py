"""majority-vote: several seats answer, and what most of their weight says is the answer.

As soon as no vote that is still out could change the decision, the answer leaves and the rest is cancelled. Where one
could, but a quorum has answered and one answer leads, stragglers get half as long again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from adapters.errors import ErrorKind, ProviderError
from router.calls.calls import Ask, Calls
from router.core.decision import Choice, Mark, Refusal
from router.core.plan import Plan
from router.core.registry import Seat
from router.core.stages import AnswersGrouped, VotesTallied
from router.core.vote import Vote
from router.strategies.fencing import readable
from router.strategies.majority.cluster import grouped
from router.strategies.majority.ruling import Cast, Ruling, VotingRule, is_settled, rule_on
from router.strategies.majority.tally import weights_by_key
from router.strategies.majority.voting import Reader, VoterPanel, ask_again, rule_for, still_out
from router.strategies.stragglers import failure, straggler_s

_SHARE = 0.8  # of the time left, for the voters: a tie-breaker or a grouping needs the rest
_FREE_TEXT = (
    "the answers are free text, which cannot be counted: give quorum.labels or a response_format, or let one call "
    'group equal answers with quorum.free_text "cluster"'
)


async def majority_vote(plan: Plan, calls: Calls) -> Choice:
    """Asks the panel, stops as soon as it is decided, breaks ties, groups free text if asked to, and delivers."""
    panel = VoterPanel.of(plan, calls.request, calls.seed)
    rule, kind = rule_for(plan, calls.request)
    reader = Reader(plan, kind, rule)

    def enough(votes: Sequence[Vote]) -> bool:
        cast, out = reader.cast(votes), still_out(panel, votes)
        if calls.watched:
            calls.tell(VotesTallied(_shown(cast), len(out)))
        return is_settled(cast, out, rule)

    def grace(votes: Sequence[Vote], elapsed_s: float) -> float | None:
        ruling = rule_on(reader.cast(votes), rule)
        led = ruling.refused is None and ruling.count.quorum_met and not ruling.count.tied
        return straggler_s(elapsed_s) if led else None  # a tie is worth waiting for the vote that breaks it

    timeout_s = calls.remaining_s() * _SHARE
    votes = await calls.gather(panel.asks, enough=enough, grace=grace, timeout_s=timeout_s, spares=panel.spares)
    flags = ["self_consistency"] if panel.sampled else []
    same: Mapping[str, str] = {}
    judged: Mapping[str, Mark] = {}
    cast = reader.cast(votes)
    ruling = rule_on(cast, rule)
    if not ruling.count.majority and _needs_grouping(cast, rule):
        same, judged, known = await _grouping(plan, calls, reader, votes)
        flags.append("grouped" if known else "grouping_failed")
    elif ruling.count.tied and ruling.refused != "no_quorum":
        votes += await _tie_breaker(plan, calls, panel)
    cast = reader.cast(votes, same)
    ruling = rule_on(cast, rule)
    if ruling.count.tie:
        flags.append("tie_broken_by_rank" if ruling.count.tied else "tie_broken_by_vote")
    calls.tell(VotesTallied(_shown(cast), 0))
    return await _delivered(calls, _choice(calls, votes, reader, rule, ruling, same), judged, flags)


def _needs_grouping(cast: Cast, rule: VotingRule) -> bool:
    worded = any(form in ("text", "prose") for form in cast.forms.values())
    return rule.free_text == "cluster" and worded and len(cast.forms) > 1


async def _grouping(
    plan: Plan, calls: Calls, reader: Reader, votes: Sequence[Vote]
) -> tuple[dict[str, str], Mapping[str, Mark], bool]:
    """The keys that stand for the same answer, by one call to the cheapest seat."""
    first: dict[str, str] = {}  # key → the words of the first vote for it
    for vote in votes:
        key = reader.key(vote)
        if key is not None and vote.answer is not None:
            first.setdefault(key.value, readable(vote.answer))
    keys = list(first)
    failed = {vote.seat.id for vote in votes if not vote.ok}
    able = [seat for seat in plan.seats if seat.id not in failed]
    grouping = await grouped(calls, sorted(able, key=_price), list(first.values()))
    same = {keys[at]: keys[group[0]] for group in grouping.groups for at in group}
    calls.tell(AnswersGrouped(len(grouping.groups), grouping.known))
    return same, grouping.marks, grouping.known


async def _tie_breaker(plan: Plan, calls: Calls, panel: VoterPanel) -> list[Vote]:
    """One more vote: of a seat that was not asked yet, or a further sample where seats are sampled; else none."""
    asked = {vote.seat.id for vote in calls.votes}
    fresh = [seat for seat in plan.seats if seat.id not in asked]
    if not fresh and not panel.sampled:
        return []
    ask = Ask(fresh[0]) if fresh else ask_again(plan.seats[0], calls.request, calls.seed, len(panel.asks))
    ask = replace(ask, ballot={**(ask.ballot or {}), "tie_breaker": True})
    return await calls.gather([ask], timeout_s=calls.remaining_s() * _SHARE, spares=fresh[1:])


def _choice(
    calls: Calls, votes: Sequence[Vote], reader: Reader, rule: VotingRule, ruling: Ruling, same: Mapping[str, str]
) -> Choice:
    counted = ruling.count
    spoken = counted.winner.vote_id if counted.winner and not ruling.refused else None
    ballots = {ballot.vote_id: ballot for ballot in reader.cast(votes, same).ballots}
    marks = {
        vote.vote_id: Mark(
            answer_key=ballots[vote.vote_id].key if vote.vote_id in ballots else None,
            valid=vote.vote_id in ballots,
            counted=vote.vote_id in ballots,
            agreed=ballots[vote.vote_id].key == ruling.key if vote.vote_id in ballots and ruling.key else None,
            ballot=reader.noted(vote),
            weight=vote.seat.model.weight,
        )
        for vote in votes
        if vote.ok
    }
    return Choice(
        winner=next((vote for vote in votes if vote.vote_id == spoken), None),
        error=_error(ruling, rule, votes),
        votes_planned=rule.planned,
        votes_counted=counted.counted,
        agreement=counted.agreement,
        margin=counted.margin,
        tie=counted.tie,
        quorum_met=counted.quorum_met,
        low_confidence=counted.low_confidence,
        answer_key=ruling.key,
        seed=calls.seed,
        rule=rule.as_dict(),
        marks=marks,
        details={"counts": _shown(reader.cast(votes, same)), "spoiled": sum(vote.ok for vote in votes) - len(ballots)},
    )


def _error(ruling: Ruling, rule: VotingRule, votes: Sequence[Vote]) -> ProviderError | Refusal | None:
    if ruling.refused is None:
        return None
    if ruling.refused == "free_text_vote":
        return Refusal("free_text_vote", _FREE_TEXT, ErrorKind.INVALID_REQUEST)
    if all(vote.outcome in ("failed", "refused") for vote in votes):
        return failure(votes)
    words = f"{ruling.count.counted} of {rule.planned} votes could be counted, {rule.quorum} are needed"
    return Refusal("no_quorum", words, ErrorKind.OVERLOADED)


async def _delivered(calls: Calls, choice: Choice, judged: Mapping[str, Mark], flags: Sequence[str]) -> Choice:
    if choice.winner is not None:
        await calls.deliver(choice.winner)
    return replace(choice, marks={**choice.marks, **judged}, flags=tuple(flags))


def _shown(cast: Cast) -> dict[str, float]:
    return {key: float(weight) for key, weight in weights_by_key(cast.ballots).items()}


def _price(seat: Seat) -> float:
    return seat.model.price.output if seat.model.price else float("inf")
