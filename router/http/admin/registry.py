"""`GET /v1/registry` shows the registry in force; `POST /v1/reload` reads the file again and returns the result."""

from __future__ import annotations

from aiohttp import web

from router.http.body import json_response
from router.registry.watch import RegistryHolder


class RegistryApi:
    """The registry and its reload; a file with errors changes nothing and returns 422 with all of its problems."""

    def __init__(self, registry: RegistryHolder) -> None:
        self._registry = registry

    async def get(self, _: web.Request) -> web.Response:
        """The registry in force as it was written: it refers to API keys and never contains them."""
        registry = self._registry.current
        return json_response({"hash": registry.hash, "source": registry.source, "document": registry.document})

    async def reload(self, _: web.Request) -> web.Response:
        """Reloads, and returns the status, the changes and the problems."""
        result = await self._registry.reload()
        document = {
            "status": result.status,
            "registry": result.registry.short_hash,
            "changes": list(result.changes),
            "problems": [str(problem) for problem in result.problems],
        }
        return json_response(document, status=422 if result.status == "failed" else 200)
