"""Every kind of provider trouble over every wire format: how the daemon handles it, and what it then stops asking."""

from __future__ import annotations

import pytest

from router.simulator import PROVIDERS, Simulator, parse_script
from tests.support.daemon import Running
from tests.support.twelve import TWELVE, model_of

# weather → the kind that everybody's attempt ends in, and those who say it otherwise
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "outage": ("server_error", {"gemini": "overloaded"}),
    "server-error": ("server_error", {}),
    "overloaded": ("overloaded", {"openrouter": "rate_limited", "xai": "server_error"}),
    "reset": ("connection", {}),
    "rate-limited": ("rate_limited", {}),
    # three have no daily quota: they run out of credits, or of what the minute allows
    "quota-day": ("quota_exhausted", {"nvidia": "rate_limited", "xai": "billing", "huggingface": "billing"}),
    "billing": ("billing", {}),
    "bad-key": ("auth", {}),
    "model-gone": ("model_gone", {}),
    "no-access": ("model_gone", {}),
    "garbage": ("bad_response", {}),
    "half-json": ("bad_response", {}),
    "empty": ("bad_response", {}),
    "content-filter": ("content_filter", {}),
    "context-length": ("context_length", {}),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("weather", KINDS)
async def test_every_wire_tells_the_same_weather(twelve: Running, sky: Simulator, weather: str, streamed: bool) -> None:
    sky.state.set_weather(parse_script({"*": weather}, PROVIDERS))
    usual, otherwise = KINDS[weather]
    told = {}
    for name in TWELVE:
        reply = await twelve.chat(model=model_of(name), stream=streamed)
        # A stream that broke after its beginning is a 200 with an error in its last event.
        said = reply.json if reply.status != 200 or not streamed else reply.chunks[-1]
        told[name] = said["error"]["attempts"][0]["error_type"]
    assert told == {name: otherwise.get(name, usual) for name in TWELVE}
