"""The composition root: builds every part of the daemon once, starts them in order, stops them in the other order."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from adapters import ADAPTERS
from router.api.body import MAX_BODY_BYTES
from router.api.chat import ChatApi
from router.api.guard import GuardRunner
from router.api.middleware import Admission, identify, tell_errors
from router.api.models import ModelsApi
from router.api.probes import ProbesApi
from router.api.registry import RegistryApi
from router.api.votes import VotesApi
from router.api.weather import WeatherApi
from router.attempt import Attempts
from router.clock import SYSTEM_CLOCK, Clock
from router.guards import Guards
from router.guards.weather import StateChange, Weather
from router.log import MASK
from router.recorder import Recorder
from router.registry.load import Rebase, check
from router.registry.model import Registry
from router.registry.watch import RegistryHolder, ReloadResult, Watcher, signature
from router.settings import Settings, SettingsError
from router.status import Status
from router.stores.opening import Stores, open_stores
from router.telemetry import Telemetry
from router.transport import AiohttpTransport
from router.votes.deadletter import DeadLetter
from router.votes.record import RegistryRow, utc
from router.votes.writer import VoteLog

_NOTICE_S = 0.5  # between saying "not ready" and closing the door, so that load balancers can look
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
        self._weather = Weather(clock, self._weather_changed)
        self._guards = Guards(self._weather)
        self._admission = Admission(self._telemetry)
        self._in_force: Registry | None = None

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
            self._watcher = Watcher(holder, path, read=before)
            await stack.enter_async_context(_background(self._watcher.run(), "registry-watcher"))
            transport = AiohttpTransport()
            stack.push_async_callback(transport.close)
            await self._open_door(stack, holder, stores, transport)
            self._say.info("ready", url=self.url, registry=holder.current.short_hash)
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

    async def _open_door(
        self, stack: AsyncExitStack, holder: RegistryHolder, stores: Stores, transport: AiohttpTransport
    ) -> None:
        settings = self._settings
        weather = WeatherApi(lambda: holder.current, self._guards)
        status = Status(holder, stores, self._votes, weather, self._admission)
        self._telemetry.watch(status.at_scrape)
        runner = GuardRunner(
            self._application(holder, stores, transport, weather, status),
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, settings.host, settings.port, reuse_port=self._shared_port or None).start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingsError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"http://{host}:{runner.addresses[0][1]}"

    def _application(
        self,
        holder: RegistryHolder,
        stores: Stores,
        transport: AiohttpTransport,
        weather: WeatherApi,
        status: Status,
    ) -> web.Application:
        recorder = Recorder(
            log=self._votes,
            telemetry=self._telemetry,
            replica=self._replica,
            keep_payloads=self._settings.payloads == "full",
        )
        attempts = Attempts(
            guards=self._guards,
            adapters=ADAPTERS,
            transport=transport,
            record=recorder.vote,
            mask=MASK.clean_cut,
            clock=self._clock,
        )
        chat = ChatApi(
            registry=lambda: holder.current,
            guards=self._guards,
            attempts=attempts,
            recorder=recorder,
            clock=self._clock,
            rng=random.Random(),  # noqa: S311 - it shares load and guards nothing
            dropped=lambda seat, request: ADAPTERS[seat.target.adapter].dropped_params(seat.target, request),
        )
        models = ModelsApi(lambda: holder.current, self._clock.wall())
        registry = RegistryApi(holder)
        votes = VotesApi(stores.postgres, self._votes, self._clock)
        probes = ProbesApi(ready=status.unready, health=status.health, telemetry=self._telemetry)
        app = web.Application(
            client_max_size=MAX_BODY_BYTES,
            middlewares=[identify(self._clock), tell_errors, self._admission.middleware()],
        )
        app.add_routes(
            [
                web.post("/v1/chat/completions", chat.handle),
                web.get("/v1/models", models.list),
                web.get("/v1/models/{model:.+}", models.get),
                web.get("/v1/requests/{request_id}", votes.request),
                web.get("/v1/votes", votes.votes),
                web.get("/v1/weather", weather.get),
                web.get("/v1/registry", registry.get),
                web.post("/v1/reload", registry.reload),
                web.get("/livez", probes.livez),
                web.get("/readyz", probes.readyz),
                web.get("/healthz", probes.healthz),
                web.get("/metrics", probes.metrics),
            ]
        )
        return app

    # --- what changes, and who is told of it -------------------------------------------------------------------------

    def _registry_in_force(self, registry: Registry) -> None:
        if self._in_force is not None:
            self._weather.reconcile(self._in_force, registry)
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

    def _weather_changed(self, change: StateChange) -> None:
        tell = self._say.warning if change.loud else self._say.info
        tell("weather", subject=change.subject, state=change.state, reason=change.reason, until=change.until)

    def _store_changed(self, store: str, up: bool, why: str) -> None:
        tell = self._say.info if up else self._say.warning
        tell("store", store=store, up=up, why=why or None)


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
