"""The event hub: subscribers are called in order, and a failing one affects no other."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from router.core.stages import ChairAsked, Stage
from router.observe.events import Hub
from tests.support.rim import log_text


@dataclass(frozen=True)
class Rain:
    millimetres: int


@dataclass(frozen=True)
class Snow(Rain):
    pass


def test_subscribers_hear_of_their_type_in_the_order_of_their_subscription() -> None:
    hub, heard = Hub(), list[str]()
    hub.subscribe(Rain, lambda rain: heard.append(f"first {rain.millimetres}"))
    hub.subscribe(Rain, lambda rain: heard.append(f"second {rain.millimetres}"))
    hub.publish(Rain(3))
    hub.publish(Snow(4))  # another type, although it is derived
    hub.publish("nobody subscribed to texts")
    assert heard == ["first 3", "second 3"]


def test_a_subscriber_that_fails_is_logged_and_the_others_hear_all_the_same() -> None:
    log, hub, heard = log_text(), Hub(), list[Rain]()

    def fail(rain: Rain) -> None:
        raise RuntimeError("a bug")

    hub.subscribe(Rain, fail)
    hub.subscribe(Rain, heard.append)
    hub.publish(Rain(3))
    assert heard == [Rain(3)]
    [line] = map(orjson.loads, log.getvalue().splitlines())
    assert (line["event"], line["kind"], line["level"]) == ("event_bug", "Rain", "error")
    assert "RuntimeError: a bug" in line["exception"]


def test_only_who_watches_a_request_hears_of_its_stages_and_only_while_it_does() -> None:
    hub, heard, stage = Hub(), list[Stage](), ChairAsked("p", "m")
    hub.reached("one", stage)
    with hub.watching("one", heard.append):
        assert hub.is_watched("one")
        assert not hub.is_watched("two")
        hub.reached("one", stage)
        hub.reached("two", stage)
    assert heard == [stage]
    assert not hub.is_watched("one")
