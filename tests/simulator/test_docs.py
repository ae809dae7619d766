"""The documentation of the simulator lists every weather, with the description in the code."""

from __future__ import annotations

import re

import orjson

from router.simulator import PROVIDERS, WEATHERS, parse_script
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "simulator.md").read_text()


def test_every_weather_is_documented_as_it_is() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert {name: text.replace("`", "") for name, text in rows.items()} == {
        name: weather.means.replace("`", "") for name, weather in WEATHERS.items()
    }


def test_the_example_file_is_valid() -> None:
    example = re.search(r"```json\n(.+?)```", PAGE, re.DOTALL)
    assert example is not None
    assert parse_script(orjson.loads(example[1]), PROVIDERS).spells["groq"][0].weather == "outage"


def test_every_provider_is_named() -> None:
    assert [name for name in PROVIDERS if name not in PAGE] == []
