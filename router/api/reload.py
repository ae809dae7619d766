"""`POST /v1/reload`: read the registry again now, and say what came of it."""

from __future__ import annotations

from aiohttp import web

from router.api.models import json_response
from router.registry.watch import RegistryHolder


class ReloadApi:
    """A reload by command; a file with errors changes nothing and is answered with 422 and all of them."""

    def __init__(self, registry: RegistryHolder) -> None:
        self._registry = registry

    async def post(self, _: web.Request) -> web.Response:
        """The result as JSON."""
        result = await self._registry.reload()
        document = {
            "status": result.status,
            "registry": result.registry.short_hash,
            "changes": list(result.changes),
            "problems": [str(problem) for problem in result.problems],
        }
        return json_response(document, status=422 if result.status == "failed" else 200)
