"""Small applications for tests of single handlers: the daemon's own middlewares and a few routes, on a real port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from router.core.clock import SYSTEM_CLOCK
from router.http.body import MAX_BODY_BYTES
from router.http.middleware import errors_to_responses, identify
from router.observe import log
from tests.support.daemon import Reply


class App:
    """A running application and a caller of it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def get(self, path: str) -> Reply:
        async with self._session.get(self.url + path) as response:
            return Reply(response.status, response.headers, await response.read())

    async def post(self, path: str, document: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """Posts a document as JSON, or bytes as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        async with self._session.post(self.url + path, data=body, headers=sent) as response:
            return Reply(response.status, response.headers, await response.read())


@asynccontextmanager
async def served(routes: Iterable[web.RouteDef], port: int = 0) -> AsyncIterator[App]:
    """Serves the routes; port 0 takes a free one."""
    log.configure("info", "json")  # to where output goes now: an earlier test's is closed
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[identify(SYSTEM_CLOCK), errors_to_responses])
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield App(f"http://127.0.0.1:{runner.addresses[0][1]}", session)
    finally:
        await runner.cleanup()
