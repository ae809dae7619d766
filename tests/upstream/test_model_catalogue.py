"""Reading a provider's list of models, from the simulated twelve and from scripted providers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters import ADAPTERS
from adapters.errors import ErrorKind, ProviderError
from adapters.types import Quirks, Secret, Target
from router.simulator import PROVIDERS, Simulator
from router.upstream.model_catalogue import LISTINGS, ModelList, list_models
from router.upstream.transport import HttpTransport
from tests.support.rim import Providers
from tests.support.scripted import Step, error
from tests.support.twelve import TWELVE, base_path

KEY = "sk-live-canary-0123456789"


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    opened = HttpTransport()
    yield opened
    await opened.close()


def target(name: str, base_url: str, key: str = KEY, model: str = "m", quirks: Quirks | None = None) -> Target:
    return Target(name, model, name, base_url, Secret(key), quirks=quirks or Quirks())


async def names(target: Target, transport: HttpTransport) -> frozenset[str]:
    """What a provider lists; fails where it gives an error instead."""
    listed = await list_models(target, transport)
    assert isinstance(listed, ModelList)
    return listed.names


def listing(*names: Any) -> Step:
    """A list of models in OpenAI's form."""
    body = json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()
    return Step(headers={"Content-Type": "application/json"}, pieces=[body])


@pytest.mark.parametrize("name", TWELVE)
async def test_each_of_the_twelve_lists_its_models(sky: Simulator, transport: HttpTransport, name: str) -> None:
    listed = await names(target(name, sky.url + base_path(name)), transport)
    assert listed == frozenset(PROVIDERS[name].lists)


@pytest.mark.parametrize("name", TWELVE)
async def test_a_refused_key_is_an_auth_error_unless_the_list_is_public(
    sky: Simulator, transport: HttpTransport, name: str
) -> None:
    listed = await list_models(target(name, sky.url + base_path(name), key="bad-key-of-tests"), transport)
    if LISTINGS.get(name) and LISTINGS[name].public and not LISTINGS[name].proof:
        assert isinstance(listed, ModelList)
        assert not listed.proves_key
        assert listed.names == frozenset(PROVIDERS[name].lists), "anybody may see it"
    else:
        assert isinstance(listed, ProviderError)
        assert listed.kind is ErrorKind.AUTH


async def test_the_key_is_carried_as_the_registry_says(providers: Providers, transport: HttpTransport) -> None:
    (one,) = await providers(1)
    one.then(listing("m"))
    quirks = Quirks(auth_header="api-key")
    assert await names(target("compatible", f"{one.url}/v1", quirks=quirks), transport) == frozenset({"m"})
    assert one.headers[0]["api-key"] == KEY
    assert "Authorization" not in one.headers[0]


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (error(503, "down"), ErrorKind.SERVER_ERROR),
        (error(429, "slow down"), ErrorKind.RATE_LIMITED),
        (error(404, "no such page"), ErrorKind.BAD_RESPONSE),
        (Step(302, {"Location": "/elsewhere"}), ErrorKind.BAD_RESPONSE),
        (Step(pieces=[b"<html>"]), ErrorKind.BAD_RESPONSE),
        (Step(pieces=[b'{"data": {"id": "m"}}']), ErrorKind.BAD_RESPONSE),
        (Step(answer_at_all=False), ErrorKind.TIMEOUT),
        (Step(end="reset", pieces=[b"{"]), ErrorKind.BAD_RESPONSE),
    ],
)
async def test_anything_but_a_list_is_returned_as_an_error(
    providers: Providers, transport: HttpTransport, step: Step, kind: ErrorKind
) -> None:
    (one,) = await providers(1)
    one.then(step)
    found = await list_models(target("compatible", f"{one.url}/v1"), transport, timeout_s=0.3)
    assert isinstance(found, ProviderError)
    assert found.kind is kind


async def test_an_unreachable_provider_is_returned_as_an_error(transport: HttpTransport) -> None:
    found = await list_models(target("compatible", "http://127.0.0.1:1/v1"), transport)
    assert isinstance(found, ProviderError)
    assert found.kind is ErrorKind.CONNECTION


async def test_names_with_control_characters_are_left_out(providers: Providers, transport: HttpTransport) -> None:
    (one,) = await providers(1)
    one.then(listing("good", "\x1b[2Jbad", "x" * 5_000, "", None, 7, {"id": "y"}))
    assert await names(target("compatible", f"{one.url}/v1"), transport) == frozenset({"good"})


def test_hugging_face_lists_models_without_their_backend() -> None:
    listed = frozenset({"openai/gpt-oss-120b", "nvidia/nemotron:free"})
    assert ModelList("huggingface", listed, proves_key=False).has("openai/gpt-oss-120b:cheapest")
    assert ModelList("openrouter", listed, proves_key=True).has("nvidia/nemotron:free")
    assert not ModelList("openrouter", listed, proves_key=True).has("openai/gpt-oss-120b:free")


def test_every_listing_belongs_to_an_adapter_of_ours() -> None:
    assert LISTINGS.keys() <= ADAPTERS.keys()
