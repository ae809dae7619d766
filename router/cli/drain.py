"""`quorum drain` and `quorum undrain`: a person takes a provider or model out of service, and puts it back."""

from __future__ import annotations

import argparse
from typing import Any

from router.cli.client import daemon_at
from router.cli.output import show_answer
from router.cli.provider_table import render_states
from router.cli.verb import JSON, SUBJECT, URL, Verb, duration, flag
from router.core.settings import Settings


async def drain(arguments: argparse.Namespace, settings: Settings) -> int:
    """Takes a provider, or one model of it, out of service: for a time, or until it is undrained.

    All replicas follow within a second. Requests under way end as they began.
    """
    return await _order(arguments, settings, "/v1/drain", for_s=arguments.for_s, reason=arguments.reason)


async def undrain(arguments: argparse.Namespace, settings: Settings) -> int:
    """Puts a provider or model back into service.

    Ends its drain, and also forgets a refused key, a model that was gone and an unpaid bill, so that it is tried again.
    """
    return await _order(arguments, settings, "/v1/undrain")


async def _order(arguments: argparse.Namespace, settings: Settings, path: str, **facts: Any) -> int:
    provider, _, model = arguments.subject.partition("/")
    document = {"provider": provider, "model": model or None, **facts}
    async with daemon_at(settings) as daemon:
        answer = await daemon.post(path, {name: value for name, value in document.items() if value is not None})
    return show_answer(
        arguments,
        answer,
        lambda: render_states({"provider": answer["provider"], **model} for model in answer["models"]),
    )


DRAIN = Verb(
    "drain",
    drain,
    'quorum drain groq --for 30m --reason "their status page says so"',
    (
        SUBJECT,
        flag("--for", metavar="TIME", dest="for_s", type=duration, help="such as 30m, 2h or 1d (until undrained)"),
        flag("--reason", metavar="R", help="shown in the weather to whoever looks next"),
        URL,
        JSON,
    ),
)
UNDRAIN = Verb("undrain", undrain, "quorum undrain groq", (SUBJECT, URL, JSON))
