"""The loop that looks at every model from time to time. All that it knows of the world is handed in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from adapters.errors import ProviderError
from healthcheck.schedule import Again, Call, Outcome, Schedule
from healthcheck.store import NEVER, Verdicts
from healthcheck.subjects import Subject
from healthcheck.verdicts import FAILED_ONCE, Condition, Finding, Verdict, judge

TICK_S = 1.0
PROBE_LIMIT_S = 200.0  # longer than the slowest tier waits for an answer
PROBES_AT_ONCE = 4
_ALIVE_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class World:
    """What the monitor asks and tells. Whoever hands these in bounds how long they take, but for the two probes.

    `probe` asks a model and `list_models` a provider; what they raise as `ProviderError` counts like what they return.
    `lead` takes or extends the lease of the one replica that probes: a call every tick, so a lease of ten ticks is
    kept. `alive_at` tells the Unix time of each model's last real answer, over all replicas; `open_seats` those whose
    breaker is open. `tell` is given every verdict of a probe, `say` one sentence when the loop itself is in trouble.
    """

    subjects: Callable[[], Iterable[Subject]]
    probe: Callable[[str], Awaitable[Finding]]
    list_models: Callable[[str], Awaitable[frozenset[str] | ProviderError]]
    lead: Callable[[], Awaitable[bool]]
    alive_at: Callable[[], Awaitable[Mapping[str, float]]]
    open_seats: Callable[[], Collection[str]]
    tell: Callable[[Verdict], None]
    say: Callable[[str], None]
    monotonic: Callable[[], float]
    wall: Callable[[], float]
    random: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]


class Monitor:
    """Probes what is due while this replica leads, and keeps `verdicts` on how every model is, whoever leads."""

    def __init__(
        self, world: World, verdicts: Verdicts, *, tick_s: float = TICK_S, probe_limit_s: float = PROBE_LIMIT_S
    ) -> None:
        self.verdicts = verdicts
        self._world = world
        self._tick_s = tick_s
        self._probe_limit_s = probe_limit_s
        self._schedule = Schedule(world.random, self.verdicts)
        self._slots = asyncio.Semaphore(PROBES_AT_ONCE)
        self._probes: set[asyncio.Task[Mapping[str, Finding]]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._alive_read_at = NEVER
        self._trouble = ""

    def start(self) -> None:
        """Begins to look."""
        self._loop = asyncio.create_task(self._run(), name="health")

    async def stop(self) -> None:
        """Ends the loop and the probes under way."""
        tasks = [*self._probes, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, verdict: Verdict) -> None:
        """Takes in a verdict that another replica found, or this one before it was restarted."""
        self.verdicts.take(verdict)
        self._schedule.heard(verdict.subject)

    async def probe_all(self) -> Mapping[str, Finding]:
        """Looks at every eligible model now, because a person asks: by subject id, what each probe found by itself.

        These probes count against the limits, but are made even where nothing is left for probes.
        """
        self._schedule.see(tuple(self._world.subjects()), self._world.monotonic())
        for call in self._schedule.every_call(self._world.monotonic()):
            self._begin(call)
        probes = tuple(self._probes)
        if probes:
            await asyncio.wait(probes)
        found = [task.result() for task in probes if not task.cancelled()]
        return {subject_id: finding for findings in found for subject_id, finding in findings.items()}

    # --- private: the loop --------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._round()
                self._trouble = ""
            except Exception as error:  # whatever is handed in may fail: the next round is a tick away
                self._complain(f"health checks are held up: {error!r}")
            await self._world.sleep(self._tick_s)

    async def _round(self) -> None:
        world = self._world
        self._schedule.see(tuple(world.subjects()), world.monotonic())
        if world.monotonic() - self._alive_read_at >= _ALIVE_EVERY_S:
            for subject_id, at in (await world.alive_at()).items():
                self.verdicts.succeeded(subject_id, at)
            self._alive_read_at = world.monotonic()
        if await world.lead():
            free = PROBES_AT_ONCE - len(self._probes)
            for call in self._schedule.take(world.monotonic(), free, world.open_seats()):
                self._begin(call)

    def _begin(self, call: Call) -> None:
        task = asyncio.create_task(self._look(call), name=f"probe of {call.name}")
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    # --- private: one probe -------------------------------------------------------------------------------------------

    async def _look(self, call: Call) -> Mapping[str, Finding]:
        outcome: Outcome = "nothing"
        try:
            async with self._slots:
                began = self._world.monotonic()
                findings = await self._findings(call)
                latency_ms = round((self._world.monotonic() - began) * 1000)
            outcome = _outcome(findings)
        finally:  # also when it is cancelled: a call that is never settled would never be made again
            again = self._schedule.settle(call, self._world.monotonic(), outcome)
        self._conclude(findings, again, latency_ms)
        return findings

    async def _findings(self, call: Call) -> Mapping[str, Finding]:
        try:
            async with asyncio.timeout(self._probe_limit_s):
                return await (self._list(call) if call.listing else self._ask(call))
        except ProviderError as error:
            return _alike(call, judge(error))
        except TimeoutError:
            return _alike(call, Finding("down", f"no answer within {self._probe_limit_s:g} s"))
        except Exception as error:  # a bug of ours is no fact about a model
            self._complain(f"the probe of {call.name} failed: {error!r}")
            return _alike(call, Finding(None, "the probe itself failed"))

    async def _ask(self, call: Call) -> Mapping[str, Finding]:
        return {call.name: await self._world.probe(call.name)}

    async def _list(self, call: Call) -> Mapping[str, Finding]:
        listed = await self._world.list_models(call.provider)
        if isinstance(listed, ProviderError):
            raise listed
        return {subject.id: _LISTED if subject.model in listed else _NOT_LISTED for subject in call.subjects}

    def _conclude(self, findings: Mapping[str, Finding], again: Again, latency_ms: int) -> None:
        at = self._world.wall()
        for subject_id, finding in findings.items():
            condition, reason = _concluded(finding, again)
            if condition == "unknown" and self.verdicts.of(subject_id).verdict != "unknown":
                continue  # what says nothing leaves the verdict that stands; where there is none, it says why
            verdict = Verdict(subject_id, condition, at, reason, latency_ms)
            self.verdicts.take(verdict)
            try:
                self._world.tell(verdict)
            except Exception as error:  # who was to be told is no reason to know it here no more
                self._complain(f"a verdict on {subject_id} could not be told: {error!r}")

    def _complain(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self._world.say(sentence)


_LISTED = Finding("healthy", "its provider lists it")
_NOT_LISTED = Finding("degraded", "its provider does not list it")
# Where the second look is hours away, the first has to do until then.
_AFTER_A_FAILURE: Mapping[Again, Condition] = {"no": "down", "soon": "unknown", "later": "degraded"}


def _alike(call: Call, finding: Finding) -> Mapping[str, Finding]:
    return {subject.id: finding for subject in call.subjects}


def _concluded(finding: Finding, again: Again) -> tuple[Condition, str]:
    """The verdict on a finding, and why. One failure may be a hiccup: only a second one in a row makes a model down."""
    if finding.condition != "down":
        return finding.condition or "unknown", finding.reason
    return _AFTER_A_FAILURE[again], f"{FAILED_ONCE}{finding.reason}" if again == "later" else finding.reason


def _outcome(findings: Mapping[str, Finding]) -> Outcome:
    conditions = {finding.condition for finding in findings.values()}
    return "failed" if "down" in conditions else "nothing" if conditions == {None} else "answered"
