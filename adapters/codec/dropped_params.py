"""Works out what of a request a target is not sent: parameters, and finer features for which a wire has no field.

An adapter lists the features that its wire cannot express in a table {name: whether a request uses the feature}. The
names are reported to the caller, so they follow OpenAI's wire: `tools.strict`, `image_url.detail`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from adapters.types import ChatRequest, Image, Target

FeatureCheck = Callable[[ChatRequest], bool]
FeatureChecks = Mapping[str, FeatureCheck]


def dropped(
    request: ChatRequest, target: Target, known_params: Iterable[str], unsupported: FeatureChecks
) -> frozenset[str]:
    """The names of parameters that the wire does not know or the registry drops, and of unsupported features in use.

    A parameter that is None counts as not given.
    """
    given = {name for name, value in request.params.items() if value is not None}
    features = {name for name, uses in unsupported.items() if uses(request)}
    return frozenset(given - (frozenset(known_params) - target.quirks.drop) | features)


def wants_json(request: ChatRequest) -> bool:
    """The answer must be JSON."""
    return request.response_format is not None and request.response_format.kind != "text"


def describes_format(request: ChatRequest) -> bool:
    """The response format comes with a description for the model."""
    return request.response_format is not None and bool(request.response_format.description)


def wants_strict_tools(request: ChatRequest) -> bool:
    """The arguments of a tool must fit its schema."""
    return any(tool.strict for tool in request.tools)


def wants_image_detail(request: ChatRequest) -> bool:
    """An image is to be read in a given detail; `auto` is what every provider does anyway."""
    images = (part for message in request.messages for part in message.content if isinstance(part, Image))
    return any(image.detail not in (None, "auto") for image in images)


def names_speakers(request: ChatRequest) -> bool:
    """Messages carry the names of their speakers; a tool's name does not count, since its call has it already."""
    return any(message.name is not None and message.role != "tool" for message in request.messages)


def more_stops_than(limit: int) -> FeatureCheck:
    """A check for more stop sequences than a wire takes; those beyond `limit` are not sent."""
    return lambda request: len(request.params.get("stop") or ()) > limit


OPENAI_FEATURES: FeatureChecks = MappingProxyType(
    {
        "image_url.detail": wants_image_detail,
        "messages.name": names_speakers,
        "response_format.description": describes_format,
        "tools.strict": wants_strict_tools,
    }
)
"""Features that hardly any wire but OpenAI's can express."""

BODY_FIELDS: FeatureChecks = MappingProxyType(
    {
        "tools": lambda request: bool(request.tools),
        "tool_choice": lambda request: request.tool_choice is not None and request.tool_choice.mode != "auto",
        "response_format": wants_json,
    }
)
"""Fields of OpenAI's body that are not in `ChatRequest.params`, for registries whose `quirks.drop` names them."""
