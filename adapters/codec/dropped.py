"""What of a request is not sent: parameters, and finer wishes for which a wire has no word.

An adapter names the wishes it cannot say in a table {our name: whether this request has that wish}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from adapters.types import ChatRequest, Image, Target

Wish = Callable[[ChatRequest], bool]
Wishes = Mapping[str, Wish]


def unsent(request: ChatRequest, target: Target, known: Iterable[str], unsaid: Wishes) -> frozenset[str]:
    """The names of the parameters that this wire has no word for or the target drops, and of the unsaid wishes."""
    given = {name for name, value in request.params.items() if value is not None}
    wishes = {name for name, wish in unsaid.items() if wish(request)}
    return frozenset(given - (frozenset(known) - target.quirks.drop) | wishes)


def form_wanted(request: ChatRequest) -> bool:
    """The answer must be JSON."""
    return request.response_format is not None and request.response_format.kind != "text"


def form_described(request: ChatRequest) -> bool:
    """The model is told in words what the form of its answer is for."""
    return request.response_format is not None and bool(request.response_format.description)


def strictness_wanted(request: ChatRequest) -> bool:
    """A tool's arguments must fit its schema."""
    return any(tool.strict for tool in request.tools)


def detail_wanted(request: ChatRequest) -> bool:
    """An image is to be looked at closely, or cheaply."""
    images = (part for message in request.messages for part in message.content if isinstance(part, Image))
    return any(image.detail not in (None, "auto") for image in images)


def speakers_named(request: ChatRequest) -> bool:
    """Speakers of one role are told apart by their names; a tool's name stands with its call already."""
    return any(message.name is not None and message.role != "tool" for message in request.messages)


def more_stops_than(most: int) -> Wish:
    """There are more stop sequences than a wire takes, so that the last of them are not sent."""
    return lambda request: len(request.params.get("stop") or ()) > most


OPENAI_ONLY: Wishes = MappingProxyType(
    {
        "image_url.detail": detail_wanted,
        "messages.name": speakers_named,
        "response_format.description": form_described,
        "tools.strict": strictness_wanted,
    }
)
"""What hardly any wire but OpenAI's can say."""

FORMS: Wishes = MappingProxyType(
    {
        "tools": lambda request: bool(request.tools),
        "tool_choice": lambda request: request.tool_choice is not None and request.tool_choice.mode != "auto",
        "response_format": form_wanted,
    }
)
"""The fields of OpenAI's body that are no parameters, for where the registry drops them."""
