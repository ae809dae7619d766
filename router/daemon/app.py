"""The composition root, the only place that wires parts together: starts them in order, stops them in reverse.

Every part receives the parts that it needs, which exist already. What parts tell each other later goes through the
event hub.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web

from adapters import ADAPTERS
from adapters.types import ChatRequest, Secret
from router.attempts.attempt import Attempts
from router.calls.calls import CallParts
from router.calls.hedging import Hedges
from router.core.clock import SYSTEM_CLOCK, Clock
from router.core.decision import RequestEnded
from router.core.events import RegistryLoaded, RegistryReloaded, StateChange
from router.core.registry import Registry, Seat
from router.core.settings import Settings, SettingsError
from router.core.tasks import background
from router.core.vote import Vote
from router.daemon.guarding import Guarding, open_guards, open_monitor
from router.daemon.resources import memory_share_reader, most_callers
from router.guards.retry_budget import RetryBudget
from router.http.admin.changes import ChangesApi
from router.http.admin.drains import DrainsApi
from router.http.admin.health import HealthApi
from router.http.admin.probe import ProbeApi
from router.http.admin.registry import RegistryApi
from router.http.admin.status import Status
from router.http.admin.votes import VotesApi
from router.http.admin.weather import WeatherApi
from router.http.middleware import Admission
from router.http.openai.chat import ChatDoor
from router.http.openai.models import ModelsApi
from router.http.openai.plan import PlanApi
from router.http.routes import Handlers, application
from router.http.server.connection import BoundedRunner
from router.http.server.early_reject import OverloadReject
from router.http.server.load_shedding import Gate
from router.observe.event_log import EventLog
from router.observe.event_metrics import EventMetrics
from router.observe.events import Hub
from router.observe.masking import MASK
from router.observe.metrics import Metrics
from router.registry.load import Rebase, check
from router.registry.watch import RegistryHolder, ReloadResult, Watcher, signature
from router.routing.queue import Queue
from router.routing.service import Service
from router.stores.opening import Stores, open_stores
from router.upstream.transport import HttpTransport
from router.votelog.dead_letter import DeadLetter
from router.votelog.recorder import Recorder
from router.votelog.writer import VoteLog

_NOTICE_S = 0.5  # between failing `/readyz` and closing the socket, so that load balancers stop sending requests
_BACKLOG = 4096  # connections that may arrive at once; the kernel drops further ones, whose clients wait for a second
_LOG_DRAIN_S = 5.0  # at shutdown, for pending rows of the vote log


@dataclass(frozen=True, slots=True)
class _Base:
    """The values that nearly every part needs, made first."""

    settings: Settings
    clock: Clock
    events: Hub
    metrics: Metrics
    replica: str
    rng: random.Random
    callers: int  # most connections at once, within the limit of open files


class Daemon:
    """One Quorum daemon; inside `running` it answers at `url`.

    With `shared_port` several processes listen on one port (SO_REUSEPORT).
    """

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK, *, shared_port: bool = False) -> None:
        self.url = ""
        self._settings = settings
        self._clock = clock
        self._shared_port = shared_port
        self._watcher: Watcher | None = None

    def nudge(self) -> None:
        """Makes the next poll reload the registry; safe in a signal handler."""
        if self._watcher is not None:
            self._watcher.nudge()

    @asynccontextmanager
    async def running(self, env: Mapping[str, str], rebase: Rebase | None = None) -> AsyncIterator[None]:
        """Starts all parts, yields while the daemon answers, then drains requests and stops the parts in reverse.

        Raises `RegistryError` for an invalid registry and `SettingsError` for an address that cannot be listened on.
        """
        settings, path, say = self._settings, str(self._settings.registry), structlog.get_logger()
        MASK.know(settings.secrets())
        base = _Base(
            settings=settings,
            clock=self._clock,
            events=Hub(),
            metrics=Metrics(),
            replica=f"{socket.gethostname()}-{os.getpid()}",
            rng=random.Random(),  # noqa: S311 - for load balancing and jitter, not for secrets
            callers=most_callers(),
        )
        async with AsyncExitStack() as stack:
            before = signature(path)
            # The registry first: a file with errors is reported before two servers are started.
            holder = await RegistryHolder.open(
                partial(check, path, env=env, rebase=rebase), on_reload=partial(_publish_reload, base.events)
            )
            stack.push_async_callback(holder.close)
            stores = await stack.enter_async_context(
                open_stores(settings.database_url, settings.redis_url, settings.data_dir, base.events.publish)
            )
            votes = await _open_log(stack, base, stores)
            base.events.publish(RegistryLoaded(holder.current))
            queue = Queue()
            guarding = await stack.enter_async_context(
                open_guards(
                    stores=stores,
                    replica=base.replica,
                    clock=self._clock,
                    registry=holder.in_force,
                    events=base.events,
                    freed=queue.nudge,
                )
            )
            self._watcher = Watcher(holder, path, read=before)
            await stack.enter_async_context(background(self._watcher.run, "registry-watcher"))
            gate = Gate(
                self._clock,
                base.rng,
                memory_share=memory_share_reader(settings.workers),
                publish=base.events.publish,
                max_inflight=base.callers,
            )
            admission = Admission(base.metrics, gate)
            status = Status(
                registry=holder,
                stores=stores,
                votes=votes,
                guards=guarding.guards,
                admission=admission,
                gate=gate,
            )
            base.metrics.watch(status.at_scrape)
            handlers = await _handlers(stack, base, holder, stores, votes, guarding, queue, status)
            await self._listen(stack, base, gate, application(handlers, admission, self._clock))
            say.info("ready", url=self.url, registry=holder.current.short_hash, callers=base.callers)
            try:
                yield
            finally:
                say.info("stopping", url=self.url, inflight=admission.inflight)
                admission.draining = True
                if admission.inflight:
                    await asyncio.sleep(_NOTICE_S)
                await admission.drain(settings.drain_timeout_s)

    async def _listen(self, stack: AsyncExitStack, base: _Base, gate: Gate, app: web.Application) -> None:
        settings = self._settings
        runner = BoundedRunner(
            app, early_reject=OverloadReject(gate, base.metrics, self._clock), max_connections=base.callers
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await stack.enter_async_context(background(gate.run, "load-meter"))
        try:
            await web.TCPSite(
                runner, settings.host, settings.port, backlog=_BACKLOG, reuse_port=self._shared_port or None
            ).start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingsError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"http://{host}:{runner.addresses[0][1]}"


async def _open_log(stack: AsyncExitStack, base: _Base, stores: Stores) -> VoteLog:
    """Opens the vote log, and subscribes it, the metrics and the log lines to events."""
    votes = VoteLog(
        stores.postgres, DeadLetter(base.settings.data_dir / "dead-letter.jsonl"), say=partial(_warn, "vote_log")
    )
    votes.start()
    stack.push_async_callback(_close_log, votes)
    recorder = Recorder(votes, base.clock, replica=base.replica, keep_payloads=base.settings.payloads == "full")
    base.events.subscribe(RegistryLoaded, _mask_keys)
    base.events.subscribe(RegistryLoaded, recorder.registry)
    base.events.subscribe(Vote, recorder.vote)
    base.events.subscribe(RequestEnded, recorder.request)
    base.events.subscribe(StateChange, recorder.state_change)
    EventMetrics(base.metrics).subscribe(base.events)
    EventLog().subscribe(base.events)
    return votes


async def _handlers(
    stack: AsyncExitStack,
    base: _Base,
    holder: RegistryHolder,
    stores: Stores,
    votes: VoteLog,
    guarding: Guarding,
    queue: Queue,
    status: Status,
) -> Handlers:
    """Builds the handlers: the service behind the chat endpoint, and the operators' endpoints."""
    guards, clock, registry = guarding.guards, base.clock, holder.in_force
    transport = HttpTransport()
    stack.push_async_callback(transport.close)
    attempts = Attempts(
        guards=guards,
        adapters=ADAPTERS,
        transport=transport,
        publish=base.events.publish,
        mask=MASK.clean_cut,
        clock=clock,
    )
    monitor = await stack.enter_async_context(
        open_monitor(guarding, attempts=attempts, transport=transport, mask=MASK.clean_cut)
    )
    service = Service(
        guards=guards,
        queue=queue,
        parts=CallParts(attempts, base.events, clock, RetryBudget(clock), Hedges(guards.latency, clock)),
        rng=base.rng,
        dropped=_dropped,
    )
    return Handlers(
        chat=ChatDoor(registry=registry, service=service, events=base.events, clock=clock, dropped=_dropped),
        models=ModelsApi(registry, clock.wall()),
        plan=PlanApi(
            registry=registry,
            plan=service.plan,
            doubt=guards.doubt,
            headroom=guards.ledger.headroom,
            dropped=_dropped,
        ),
        votes=VotesApi(stores.postgres, votes, clock),
        weather=WeatherApi(registry, guards),
        changes=ChangesApi(stores.postgres, votes, clock),
        drains=DrainsApi(registry=registry, drains=guards.holds, block=guards.block, clock=clock),
        probe=ProbeApi(registry=registry, guards=guards, probe_all=monitor.probe_all),
        registry=RegistryApi(holder),
        health=HealthApi(ready=status.unready, health=status.health, metrics=base.metrics),
    )


def _publish_reload(events: Hub, result: ReloadResult) -> None:
    errors = tuple(str(problem) for problem in result.problems if problem.severity == "error")
    if result.status == "swapped":
        events.publish(RegistryLoaded(result.registry, result.previous, result.changes))
    events.publish(RegistryReloaded(result.status, result.registry, result.changes, errors))


def _mask_keys(loaded: RegistryLoaded) -> None:
    MASK.know(key.reveal() for key in _keys(loaded.registry))


def _keys(registry: Registry) -> list[Secret]:
    return [provider.api_key for provider in registry.providers.values() if provider.api_key is not None]


async def _close_log(votes: VoteLog) -> None:
    if not await votes.drain(_LOG_DRAIN_S):
        pending = votes.counts.pending
        structlog.get_logger().error("vote_log", note=f"{pending} rows were not written before shutdown")


def _warn(event: str, note: str) -> None:
    structlog.get_logger().warning(event, note=note)


def _dropped(seat: Seat, request: ChatRequest) -> frozenset[str]:
    return ADAPTERS[seat.target.adapter].dropped_params(seat.target, request)
