"""The simulator's HTTP server: twelve providers on one port, and `/-/` to watch them and change their weather."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import orjson
from aiohttp import web

from router.simulator.delivery import Answer, Clock, Delivery, forever, reset
from router.simulator.exchange import Exchange, State
from router.simulator.limits import Quota, Standing
from router.simulator.providers import PROVIDERS, Provider
from router.simulator.seen import BODY_LIMIT, Seen, Visit, without_secrets
from router.simulator.weather import (
    WEATHERS,
    Fault,
    Flow,
    Spell,
    WeatherError,
    WeatherScript,
    chance,
    load_script,
    parse_header,
    parse_script,
)
from router.simulator.wire import Incoming, Invalid, Refusal, Stamp

MAX_BODY = 8 * 1024 * 1024
JSON = "application/json"
STOP_S = 0.2  # how long open answers may go on after the server is told to stop
WEATHER_HEADER = "X-Sky-Weather"
STATE: web.AppKey[State] = web.AppKey("state", State)


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator; each provider is below `url` under `/<provider>`."""

    url: str
    port: int
    state: State
    runner: web.AppRunner = field(repr=False)

    @property
    def seen(self) -> Seen:
        """The requests it has seen so far."""
        return self.state.seen

    async def stop(self) -> None:
        """Stops within a second, even with streams open."""
        await self.runner.cleanup()


def build_app(
    *,
    weather: WeatherScript | None = None,
    seed: int = 0,
    clock: Clock | None = None,
    keys: Mapping[str, str] | None = None,
    pace_s: float = 0.0,
) -> web.Application:
    """The aiohttp application.

    `keys` gives the one good key of a provider (by default any key is good); `pace_s` is a pause in seconds between the
    events of every stream.
    """
    app = web.Application(client_max_size=MAX_BODY)
    app[STATE] = State(weather or WeatherScript(), seed, clock or Clock(), keys or {}, pace_s)
    app.router.add_get("/", _index)
    app.router.add_get("/-/seen", _show_seen)
    app.router.add_get("/-/weather", _show_weather)
    app.router.add_put("/-/weather", _change_weather)
    for provider in PROVIDERS.values():
        app.router.add_post(provider.chat, _route(provider, _converse))
        app.router.add_get(provider.models, _route(provider, _list_models))
        if provider.key:
            app.router.add_get(provider.key, _route(provider, _tell_of_key))
    return app


async def start_simulator(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    weather: WeatherScript | None = None,
    seed: int = 0,
    clock: Clock | None = None,
    keys: Mapping[str, str] | None = None,
    pace_s: float = 0.0,
) -> Simulator:
    """Starts a simulator; port 0 takes a free one. Raises OSError if the port is taken."""
    app = build_app(weather=weather, seed=seed, clock=clock, keys=keys, pace_s=pace_s)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=STOP_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    bound = runner.addresses[0][1]
    return Simulator(f"http://{host}:{bound}", bound, app[STATE], runner)


async def run(
    port: int,
    weather_file: Path | None = None,
    seed: int = 0,
    *,
    announce: Callable[[Simulator], None],
    pace_s: float = 0.01,
) -> None:
    """Runs a simulator until it is cancelled; `announce` is called once it serves. Raises WeatherError and OSError."""
    script = load_script(weather_file, PROVIDERS) if weather_file else WeatherScript()
    simulator = await start_simulator(port=port, weather=script, seed=seed, pace_s=pace_s)
    try:
        announce(simulator)
        await asyncio.Event().wait()
    finally:
        await simulator.stop()


Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]


def _route(provider: Provider, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    return partial(_serve, provider, handler)


async def _serve(provider: Provider, handler: Handler, request: web.Request) -> web.StreamResponse:
    """Serves one request from first byte to last, and records it however it ends."""
    state = request.app[STATE]
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        body = None
    try:
        exchange = _exchange(state, provider, request, body or b"")
    except WeatherError as error:
        return web.json_response({"error": str(error)}, status=400)
    status = None
    try:
        if body is None:
            response: web.StreamResponse = _refusal(exchange.refused(Fault.TOO_LARGE))
        elif exchange.spell.kind.flow is Flow.RESET:
            return reset(request)
        elif exchange.spell.kind.flow is Flow.HANG:
            await forever()
        else:
            response = await handler(exchange)
        status = response.status
        return response
    finally:
        state.seen.record(_visit(exchange, status))


def _exchange(state: State, provider: Provider, request: web.Request, body: bytes) -> Exchange:
    headers = {key.lower(): value for key, value in request.headers.items()}
    match = request.match_info
    incoming = Incoming(headers, request.query, body, match.get("model"), match.get("verb"))
    model = provider.wire.model(incoming)
    ordinal = state.ordinals[provider.name]
    state.ordinals[provider.name] += 1
    asked = request.headers.get(WEATHER_HEADER)
    spell = parse_header(asked) if asked else _overhead(state, provider, model, ordinal)
    stamp = Stamp(
        provider.name, model, state.seed, ordinal, state.clock.wall(), _standing(state, provider, request, model)
    )
    return Exchange(state, provider, request, incoming, stamp, spell)


def _standing(state: State, provider: Provider, request: web.Request, model: str) -> Standing:
    """Counts the request; listings of models have a counter of their own and do not use up the chat's."""
    if request.method == "GET":
        return state.limits.admit(f"{provider.name} models", Quota())
    key = f"{provider.name}/{model}" if provider.limited_by_model else provider.name
    return state.limits.admit(key, state.weather.quotas.get(provider.name, Quota()))


def _overhead(state: State, provider: Provider, model: str, ordinal: int) -> Spell:
    age_s = state.clock.now() - state.since
    return state.weather.spell(provider.name, model, age_s=age_s, chance=chance(state.seed, provider.name, ordinal))


def _visit(exchange: Exchange, status: int | None) -> Visit:
    request = exchange.request
    return Visit(
        provider=exchange.provider.name,
        model=exchange.stamp.model,
        method=request.method,
        path=request.path,
        headers=without_secrets(request.headers.items()),
        body=exchange.incoming.body[:BODY_LIMIT].decode(errors="replace"),
        weather=exchange.spell.weather,
        at_s=exchange.state.clock.now(),
        status=status,
    )


async def _converse(exchange: Exchange) -> web.StreamResponse:
    if barred := exchange.barred():
        return _refusal(barred)
    try:
        ask, reply = exchange.replied()
    except Invalid as invalid:
        return _refusal(exchange.refused(Fault.INVALID, invalid=invalid))
    answer, state = exchange.answer(ask, reply), exchange.state
    return await Delivery(exchange.request, answer, exchange.spell, state.clock, state.pace_s).send()


async def _tell_of_key(exchange: Exchange) -> web.StreamResponse:
    barred = exchange.barred()
    return _refusal(barred) if barred else _json(exchange.provider.standing)


async def _list_models(exchange: Exchange) -> web.StreamResponse:
    if barred := exchange.barred(keyless=exchange.provider.public):
        return _refusal(barred)
    provider, state = exchange.provider, exchange.state
    gone = {one.model for one in state.weather.spells.get(provider.name, ()) if one.weather == "model-gone"}
    names = [name for name in provider.lists if name not in gone]
    body = orjson.dumps(provider.wire.models(names, exchange.stamp))
    answer = Answer.whole(200, body, provider.wire.headers(exchange.stamp))
    return await Delivery(exchange.request, answer, exchange.spell, state.clock).send()


def _refusal(refusal: Refusal | None) -> web.Response:
    if refusal is None:
        raise AssertionError("a wire has no refusal for a fault that every wire must refuse")
    body = b"" if refusal.body is None else orjson.dumps(refusal.body)
    return web.Response(status=refusal.status, body=body, headers={"Content-Type": JSON, **refusal.headers})


# --- for people and tests: /, /-/seen, /-/weather


async def _index(request: web.Request) -> web.Response:
    providers = {name: {"chat": provider.chat, "models": provider.models} for name, provider in PROVIDERS.items()}
    return _json({"providers": providers, "weathers": {name: weather.means for name, weather in WEATHERS.items()}})


async def _show_seen(request: web.Request) -> web.Response:
    return _json(request.app[STATE].seen.document())


async def _show_weather(request: web.Request) -> web.Response:
    return _json(request.app[STATE].weather.document())


async def _change_weather(request: web.Request) -> web.Response:
    try:
        script = parse_script(orjson.loads(await request.read()), PROVIDERS)
    except (orjson.JSONDecodeError, WeatherError) as error:
        return _json({"error": str(error)}, status=400)
    state = request.app[STATE]
    # Limits that the new weather does not name stay as they are.
    state.set_weather(replace(script, quotas={**state.weather.quotas, **script.quotas}))
    return _json(state.weather.document())


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), content_type=JSON)
