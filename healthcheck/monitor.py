"""The health monitor: the loop that probes every model from time to time. All it knows about the world is handed in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from adapters.errors import ProviderError
from healthcheck.schedule import ProbeCall, ProbeOutcome, Recheck, Schedule
from healthcheck.store import NEVER, Verdicts
from healthcheck.subjects import Subject
from healthcheck.verdicts import Condition, ProbeResult, Verdict, judge

TICK_S = 1.0
PROBE_LIMIT_S = 200.0  # longer than the slowest tier waits for an answer
PROBES_AT_ONCE = 4
_ALIVE_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class MonitorPorts:
    """What the monitor asks and tells. Each call but the two kinds of probes must bound its own time.

    `probe` asks a model and `list_models` a provider; a `ProviderError` counts the same raised or returned.
    `lead` takes or extends the lease of the one replica that probes: a call every tick, so that a lease of ten ticks is
    kept. `alive_at` tells the Unix time of each model's last real answer, over all replicas; `open_seats` the seats
    whose breaker is open. `tell` is given every verdict of a probe, `say` one sentence when the loop is in trouble.
    """

    subjects: Callable[[], Iterable[Subject]]
    probe: Callable[[str], Awaitable[ProbeResult]]
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
    """Probes what is due while this replica leads; keeps `verdicts` up to date whichever replica leads."""

    def __init__(
        self, ports: MonitorPorts, verdicts: Verdicts, *, tick_s: float = TICK_S, probe_limit_s: float = PROBE_LIMIT_S
    ) -> None:
        self.verdicts = verdicts
        self._ports = ports
        self._tick_s = tick_s
        self._probe_limit_s = probe_limit_s
        self._schedule = Schedule(ports.random, self.verdicts)
        self._slots = asyncio.Semaphore(PROBES_AT_ONCE)
        self._probes: set[asyncio.Task[Mapping[str, ProbeResult]]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._alive_read_at = NEVER
        self._trouble = ""

    def start(self) -> None:
        """Starts the loop."""
        self._loop = asyncio.create_task(self._run(), name="health")

    async def stop(self) -> None:
        """Ends the loop and the probes under way."""
        tasks = [*self._probes, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, verdict: Verdict) -> None:
        """Takes in a verdict that another replica has found, or this one before it was restarted."""
        self.verdicts.take(verdict)
        self._schedule.heard(verdict.subject)

    async def probe_all(self) -> Mapping[str, ProbeResult]:
        """Probes every eligible model now, because a person asks; by subject id, what each probe by itself has found.

        These probes are charged to the limits, but are made even where no limit pays for them.
        """
        self._schedule.see(tuple(self._ports.subjects()), self._ports.monotonic())
        for call in self._schedule.every_call(self._ports.monotonic()):
            self._begin(call)
        probes = tuple(self._probes)
        if probes:
            await asyncio.wait(probes)
        found = [task.result() for task in probes if not task.cancelled()]
        return {subject_id: result for results in found for subject_id, result in results.items()}

    # --- private: the loop --------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._round()
                self._trouble = ""
            except Exception as error:  # whatever is handed in may fail: the next round is a tick away
                self._complain(f"a round of health checks failed: {error!r}")
            await self._ports.sleep(self._tick_s)

    async def _round(self) -> None:
        ports = self._ports
        self._schedule.see(tuple(ports.subjects()), ports.monotonic())
        if ports.monotonic() - self._alive_read_at >= _ALIVE_EVERY_S:
            for subject_id, at in (await ports.alive_at()).items():
                self.verdicts.succeeded(subject_id, at)
            self._alive_read_at = ports.monotonic()
        if await ports.lead():
            free = PROBES_AT_ONCE - len(self._probes)
            for call in self._schedule.take(ports.monotonic(), free, ports.open_seats()):
                self._begin(call)

    def _begin(self, call: ProbeCall) -> None:
        task = asyncio.create_task(self._look(call), name=f"probe of {call.name}")
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    # --- private: one probe -------------------------------------------------------------------------------------------

    async def _look(self, call: ProbeCall) -> Mapping[str, ProbeResult]:
        outcome: ProbeOutcome = "nothing"
        try:
            async with self._slots:
                began = self._ports.monotonic()
                results = await self._results(call)
                latency_ms = round((self._ports.monotonic() - began) * 1000)
            outcome = _outcome(results)
        finally:  # also when it is cancelled: a call that is never settled would never be made again
            recheck = self._schedule.settle(call, self._ports.monotonic(), outcome)
        self._conclude(results, recheck, latency_ms)
        return results

    async def _results(self, call: ProbeCall) -> Mapping[str, ProbeResult]:
        try:
            async with asyncio.timeout(self._probe_limit_s):
                return await (self._list(call) if call.listing else self._ask(call))
        except ProviderError as error:
            return _alike(call, judge(error))
        except TimeoutError:
            return _alike(call, ProbeResult("down", f"no answer within {self._probe_limit_s:g} s"))
        except Exception as error:  # a bug of ours says nothing about a model
            self._complain(f"the probe of {call.name} failed: {error!r}")
            return _alike(call, ProbeResult(None, "internal error: the probe could not be made"))

    async def _ask(self, call: ProbeCall) -> Mapping[str, ProbeResult]:
        return {call.name: await self._ports.probe(call.name)}

    async def _list(self, call: ProbeCall) -> Mapping[str, ProbeResult]:
        listed = await self._ports.list_models(call.provider)
        if isinstance(listed, ProviderError):
            raise listed
        return {subject.id: _LISTED if subject.model in listed else _NOT_LISTED for subject in call.subjects}

    def _conclude(self, results: Mapping[str, ProbeResult], recheck: Recheck, latency_ms: int) -> None:
        at = self._ports.wall()
        for subject_id, result in results.items():
            verdict = _verdict(subject_id, result, recheck, at, latency_ms)
            if verdict.verdict == "unknown" and self.verdicts.of(subject_id).verdict != "unknown":
                continue  # a result that says nothing leaves the verdict that stands; where there is none, it says why
            self.verdicts.take(verdict)
            try:
                self._ports.tell(verdict)
            except Exception as error:  # this replica knows the verdict all the same
                self._complain(f"the verdict on {subject_id} could not be shared: {error!r}")

    def _complain(self, sentence: str) -> None:
        if sentence != self._trouble:
            self._trouble = sentence
            self._ports.say(sentence)


_LISTED = ProbeResult("healthy", "listed by its provider")
_NOT_LISTED = ProbeResult("degraded", "not listed by its provider")
# One failure may be a hiccup: only a second one in a row makes a model down. Where the second probe is hours away, the
# first has to do until then.
_AFTER_A_FAILURE: Mapping[Recheck, Condition] = {"no": "down", "soon": "unknown", "later": "degraded"}


def _alike(call: ProbeCall, result: ProbeResult) -> Mapping[str, ProbeResult]:
    return {subject.id: result for subject in call.subjects}


def _verdict(subject_id: str, result: ProbeResult, recheck: Recheck, at: float, latency_ms: int) -> Verdict:
    if result.condition != "down":
        return Verdict(subject_id, result.condition or "unknown", at, result.reason, latency_ms)
    failed_once = recheck == "later"
    reason = f"failed once: {result.reason}" if failed_once else result.reason
    return Verdict(subject_id, _AFTER_A_FAILURE[recheck], at, reason, latency_ms, failed_once)


def _outcome(results: Mapping[str, ProbeResult]) -> ProbeOutcome:
    conditions = {result.condition for result in results.values()}
    return "failed" if "down" in conditions else "nothing" if conditions == {None} else "answered"
