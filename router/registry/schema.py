"""The JSON Schema of registry.yaml, from which editors complete, explain and underline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from router.registry.document import Document

SCHEMA_FILE = Path(__file__).with_name("registry.schema.json")


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of the file as it is written; references between its parts are checked on loading."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Document.model_json_schema(by_alias=True)}


def render_schema() -> str:
    """The text of the checked-in schema file."""
    return orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
