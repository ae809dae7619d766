"""The composition root: builds every part of the daemon once, starts them in order, stops them in the other order."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from aiohttp import web

from adapters import ADAPTERS
from router.attempts.attempt import Attempts
from router.attempts.probing import Probing, build_monitor
from router.core.clock import SYSTEM_CLOCK, Clock, utc
from router.core.events import StateChange
from router.core.ids import new_id
from router.core.registry import Registry
from router.core.settings import Settings, SettingsError
from router.core.tasks import background
from router.daemon.guarding import open_guards
from router.daemon.memory import memory_share_reader
from router.daemon.open_files import most_callers
from router.guards.guards import Guards
from router.http.middleware import Admission
from router.http.routes import Parts, application
from router.http.server.connection import GuardRunner
from router.http.server.early_reject import GateDoor
from router.http.server.load_shedding import Episode, Gate
from router.observe.masking import MASK
from router.observe.metrics import Telemetry
from router.registry.load import Rebase, check
from router.registry.watch import RegistryHolder, ReloadResult, Watcher, signature
from router.routing.queue import WaitingRoom
from router.stores.opening import open_stores
from router.upstream.transport import HttpTransport
from router.votelog.dead_letter import DeadLetter
from router.votelog.recorder import Recorder
from router.votelog.rows import RegistryRow, StateChangeRow
from router.votelog.writer import VoteLog

_NOTICE_S = 0.5  # between saying "not ready" and closing the door, so that load balancers can look
_BACKLOG = 4096  # callers that may come at once; beyond it the kernel drops them, and they try again after seconds
_LOG_DRAIN_S = 5.0


class Daemon:
    """One Quorum. While `running` holds, it answers at `url`; `nudge` asks it to read its registry again."""

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK, *, shared_port: bool = False) -> None:
        self.url = ""
        self._settings = settings
        self._shared_port = shared_port
        self._clock = clock
        self._telemetry = Telemetry()
        self._say = structlog.get_logger()
        self._replica = f"{socket.gethostname()}-{os.getpid()}"
        self._room = WaitingRoom()
        rng = random.Random()  # noqa: S311 - it shares load and guards nothing
        memory_share = memory_share_reader(settings.workers)
        self._callers = most_callers()
        self._gate = Gate(
            clock, rng, memory_share=memory_share, tell=self._shedding_changed, max_inflight=self._callers
        )
        self._admission = Admission(self._telemetry, self._gate)
        self._in_force: Registry | None = None
        self._guards: Guards | None = None

    @asynccontextmanager
    async def running(self, env: Mapping[str, str], rebase: Rebase | None = None) -> AsyncIterator[None]:
        """Starts everything, yields while the daemon answers, then drains and stops.

        Raises `RegistryError` for a registry that cannot be used and `SettingsError` for an address that is taken.
        """
        settings, path = self._settings, str(self._settings.registry)
        MASK.know(settings.secrets())
        async with AsyncExitStack() as stack:
            before = signature(path)
            # The registry first: a file with errors should not cost the start of two servers to be told.
            holder = await RegistryHolder.open(
                partial(check, path, env=env, rebase=rebase), on_reload=self._registry_reloaded
            )
            stack.push_async_callback(holder.close)
            stores = await stack.enter_async_context(
                open_stores(settings.database_url, settings.redis_url, settings.data_dir, self._store_changed)
            )
            self._votes = VoteLog(
                stores.postgres,
                DeadLetter(settings.data_dir / "dead-letter.jsonl"),
                say=lambda sentence: self._say.warning("vote_log", note=sentence),
            )
            self._votes.start()
            stack.push_async_callback(self._close_votes)
            self._registry_in_force(holder.current)
            guards, sharing = await stack.enter_async_context(
                open_guards(
                    stores=stores,
                    replica=self._replica,
                    clock=self._clock,
                    registry=lambda: holder.current,
                    on_change=self._state_changed,
                    on_fault=lambda sentence: self._say.warning("limits", note=sentence),
                    freed=self._room.nudge,
                )
            )
            self._guards = guards
            self._watcher = Watcher(holder, path, read=before)
            await stack.enter_async_context(background(self._watcher.run, "registry-watcher"))
            transport = HttpTransport()
            stack.push_async_callback(transport.close)
            attempts = self._attempts(guards, transport)
            probing = Probing(
                registry=lambda: holder.current,
                guards=guards,
                attempts=attempts,
                transport=transport,
                mask=MASK.clean_cut,
                clock=self._clock,
            )
            monitor = build_monitor(probing, guards, sharing, self._clock)
            monitor.start()
            stack.push_async_callback(monitor.stop)
            parts = Parts(
                clock=self._clock,
                telemetry=self._telemetry,
                registry=holder,
                stores=stores,
                votes=self._votes,
                guards=guards,
                attempts=attempts,
                recorder=self._recorder,
                monitor=monitor,
                admission=self._admission,
                gate=self._gate,
                room=self._room,
            )
            await self._open_door(stack, application(parts))
            self._say.info("ready", url=self.url, registry=holder.current.short_hash, callers=self._callers)
            try:
                yield
            finally:
                self._say.info("stopping", url=self.url, inflight=self._admission.inflight)
                self._admission.draining = True
                if self._admission.inflight:
                    await asyncio.sleep(_NOTICE_S)
                await self._admission.drain(self._settings.drain_timeout_s)

    def nudge(self) -> None:
        """Reads the registry again at the next poll; safe in a signal handler."""
        self._watcher.nudge()

    async def _open_door(self, stack: AsyncExitStack, app: web.Application) -> None:
        settings = self._settings
        door = GateDoor(self._gate, self._telemetry, self._clock)
        runner = GuardRunner(app, door=door, max_connections=self._callers)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await stack.enter_async_context(background(self._gate.run, "load-meter"))
        try:
            await web.TCPSite(
                runner, settings.host, settings.port, backlog=_BACKLOG, reuse_port=self._shared_port or None
            ).start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingsError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"http://{host}:{runner.addresses[0][1]}"

    def _attempts(self, guards: Guards, transport: HttpTransport) -> Attempts:
        self._recorder = Recorder(
            log=self._votes,
            telemetry=self._telemetry,
            replica=self._replica,
            keep_payloads=self._settings.payloads == "full",
        )
        return Attempts(
            guards=guards,
            adapters=ADAPTERS,
            transport=transport,
            record=self._recorder.vote,
            mask=MASK.clean_cut,
            clock=self._clock,
        )

    # --- what changes, and who is told of it -------------------------------------------------------------------------

    def _registry_in_force(self, registry: Registry) -> None:
        if self._in_force is not None and self._guards is not None:
            self._guards.reconcile(self._in_force, registry)
        self._in_force = registry
        keys = (provider.api_key for provider in registry.providers.values())
        MASK.know(key.reveal() for key in keys if key is not None)
        self._votes.append(
            RegistryRow(
                registry_hash=registry.hash,
                loaded_at=utc(self._clock.wall()),
                document=registry.document,
                source=os.path.basename(registry.source),
            )
        )

    def _registry_reloaded(self, result: ReloadResult) -> None:
        self._telemetry.reloads(result.status).inc()
        if result.status == "swapped":
            self._registry_in_force(result.registry)
            self._say.info("registry_swapped", registry=result.registry.short_hash, changes=list(result.changes))
        elif result.status == "unchanged":
            self._say.info("registry_unchanged", registry=result.registry.short_hash)
        for problem in result.problems if result.status == "failed" else ():
            if problem.severity == "error":
                self._say.error("registry_refused", problem=str(problem), registry=result.registry.short_hash)

    async def _close_votes(self) -> None:
        if not await self._votes.drain(_LOG_DRAIN_S):
            self._say.error("vote_log", note=f"{self._votes.counts.pending} rows were not written before the end")

    def _state_changed(self, change: StateChange) -> None:
        tell = self._say.warning if change.loud else self._say.info
        tell("weather", subject=change.subject, state=change.state, reason=change.reason, until=change.until)
        self._telemetry.state_changes(change.subject, change.state).inc()
        provider, _, model = change.subject.partition("/")
        self._votes.append(
            StateChangeRow(
                change_id=new_id(self._clock),
                created_at=utc(self._clock.wall()),
                provider=provider,
                model=model or None,
                state=change.state,
                reason=change.reason,
                until=None if change.until is None else utc(change.until),
                loud=change.loud,
                replica=self._replica,
                registry_hash=self._in_force.hash if self._in_force else None,
            )
        )
        self._room.nudge()

    def _store_changed(self, store: str, up: bool, why: str) -> None:
        tell = self._say.info if up else self._say.warning
        tell("store", store=store, up=up, why=why or None)

    def _shedding_changed(self, episode: Episode) -> None:
        self._say.warning(
            "shedding",
            state="begins" if episode.lasted_s is None else "over",
            reason=episode.reason,
            refused=episode.refused,
            lag_ms=round(episode.lag_s * 1000),
            memory_share=round(episode.memory_share, 3),
            lasted_s=episode.lasted_s,
        )
