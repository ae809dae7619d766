"""`quorum schema`: the JSON Schema of registry.yaml."""

from __future__ import annotations

import argparse

from router.cli.output import GOOD
from router.cli.verb import Verb
from router.core.settings import Settings


def schema(_: argparse.Namespace, __: Settings) -> int:
    """Prints the JSON Schema of registry.yaml, which editors complete and check the file with."""
    from router.registry.schema import render_schema

    print(render_schema(), end="")
    return GOOD


VERB = Verb("schema", schema, "quorum schema > registry.schema.json")
