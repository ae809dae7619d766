"""`quorum db`: the schema of the vote log's database, and the addresses of the stores."""

from __future__ import annotations

import argparse
import asyncio

from router.cli.output import Findings, screen, show
from router.cli.tables import render
from router.cli.verb import DATA_DIR, JSON, Verb, flag
from router.core.settings import Settings


def db(arguments: argparse.Namespace, settings: Settings) -> int:
    """Migrates the database, lists its migrations, or prints the addresses of both stores.

    `migrate` applies what is missing, `status` lists what is applied. `url` prints DATABASE_URL and REDIS_URL, with
    their passwords, for psql and for a second replica.
    """
    from router.stores import admin
    from router.stores.errors import StoreError

    if arguments.what == "url":
        addresses = admin.addresses(settings.database_url, settings.redis_url, settings.data_dir)
        lines = [f"{name}={value}" for name, value in addresses.items()]
        return show(arguments, addresses, lambda: "\n".join(lines))
    apply = arguments.what == "migrate"
    try:
        rows = asyncio.run(admin.migrations(settings.database_url, settings.data_dir, apply=apply))
    except StoreError as error:
        raise Findings(str(error)) from None
    return show(arguments, rows, lambda: render(rows, ("version", "name", "state", "applied_at"), on=screen()))


VERB = Verb(
    "db",
    db,
    "quorum db url --json",
    (flag("what", choices=("migrate", "status", "url")), DATA_DIR, JSON),
    logs=True,
)
