"""Classifies a provider's error by table: the rules common to all providers, after those of the provider itself.

Rules are tried in order and the first match counts, so the order is part of their meaning. Of each kind, codes come
before text: a code is the provider's own verdict, while a sentence is reworded without notice and may quote the
caller's prompt. Where a sentence could mean two things, its rule also names the statuses it must come with.

The codes and sentences are from the providers' API references and SDKs, and from error bodies published in public
issues and test recordings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.errors import ErrorKind, Scope
from adapters.types import NOTHING


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What an error response says, in whatever shape it came.

    `status` is the HTTP status or, for an error inside a 200, a status in the body. `codes` are all names it gives the
    error, in lower case, the most specific first. `message` is for logs and callers, `text` all words for rules to
    search. `wait` is its hint when to return: a duration or a moment, as it came.
    """

    status: int | None
    codes: tuple[str, ...]
    message: str
    text: str
    wait: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """A failure is of `kind` if all conditions hold; a condition left empty always does.

    `codes`: it has one of these codes. `text`: its words match this pattern. `status`: its status is one of these.
    `headers`: one of the response's headers has the value named here. `scope` says what the failure is about, where
    that is not what its kind usually means. `trust_wait` is False where the provider's own hint when to return is
    wrong.
    """

    kind: ErrorKind
    scope: Scope | None = None
    codes: frozenset[str] = frozenset()
    text: re.Pattern[str] | None = None
    status: frozenset[int] = frozenset()
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    trust_wait: bool = True

    def matches(self, facts: ErrorFacts) -> bool:
        """True if every condition holds."""
        return (
            (not self.codes or not self.codes.isdisjoint(facts.codes))
            and (not self.status or facts.status in self.status)
            and (self.text is None or self.text.search(facts.text) is not None)
            and (not self.headers or any(facts.headers.get(name) == value for name, value in self.headers.items()))
        )


ErrorRules = tuple[ErrorRule, ...]


def pattern(expression: str) -> re.Pattern[str]:
    """A regular expression that ignores case, for `ErrorRule.text` and for model ids."""
    return re.compile(expression, re.IGNORECASE)


def codes(*names: str) -> frozenset[str]:
    """Names for `ErrorRule.codes`, in lower case."""
    return frozenset(names)


# A 403 about a model is not about the key: the provider's other models may still answer.
MODEL_FORBIDDEN = ErrorRule(
    ErrorKind.MODEL_GONE, text=pattern(r"\bmodels?[ /:`'\"]|licen[cs]e .{0,80}agreed"), status=frozenset({403})
)

COMMON_RULES: ErrorRules = (
    # A firewall's page (Cloudflare's "Attention Required!") says nothing about the key or the model.
    ErrorRule(ErrorKind.BAD_RESPONSE, text=pattern(r"^\s*<(?:!doctype|html)"), status=frozenset({403, 404})),
    # Money is looked for first: OpenAI answers 429, Anthropic 400, xAI 403 or 429 where only a payment helps, and each
    # would else be retried as a rate limit or refused to the caller as its own mistake.
    ErrorRule(
        ErrorKind.BILLING,
        codes=codes(
            "insufficient_quota",
            "credit_balance_exhausted",
            "payment_required",
            "billing_error",
            "billing_not_active",
            "billing_hard_limit_reached",
            "not_enough_balance",
        ),
    ),
    ErrorRule(
        ErrorKind.BILLING,
        text=pattern(
            r"credit balance is too low|used all available credits|spending limit|payment required|payment method"
            r"|(?:insufficient|not enough) (?:account )?(?:balance|credits)|requires more credits|prepaid credits"
            r"|requires the .{0,40}paid plan|does(?: no|n')t have any credits|account .{0,80}\bis suspended"
        ),
    ),
    # A bad key is a 400 at Gemini and xAI: without these rules it would be the caller's invalid request.
    ErrorRule(
        ErrorKind.AUTH,
        codes=codes("invalid_api_key", "wrong_api_key", "api_key_invalid", "authentication_error", "unauthorized"),
    ),
    ErrorRule(
        ErrorKind.AUTH,
        text=pattern(r"(?:invalid|incorrect|wrong|expired) (?:x-)?api[- ]key|api key (?:not valid|is invalid|expired)"),
    ),
    ErrorRule(ErrorKind.AUTH, codes=codes("unsupported_country_region_territory")),
    ErrorRule(
        ErrorKind.CONTEXT_LENGTH,
        codes=codes("context_length_exceeded", "tokens_limit_reached", "too_many_tokens", "string_above_max_length"),
    ),
    # Anthropic, Gemini, OpenRouter, DeepSeek and xAI have no code for it, only a sentence.
    ErrorRule(
        ErrorKind.CONTEXT_LENGTH,
        text=pattern(
            r"maximum context|context length|context window|prompt (?:is )?too long|maximum prompt length"
            r"|input token count .{0,40}exceeds|input tokens exceed|reduce the length of the (?:messages|prompt)"
            r"|request too large for"
        ),
    ),
    ErrorRule(
        ErrorKind.MODEL_GONE,
        codes=codes(
            "model_not_found",
            "model_not_available",
            "model_not_supported",
            "model_decommissioned",
            "deploymentnotfound",
            "invalid_model",
            "unknown_model",
        ),
    ),
    ErrorRule(
        ErrorKind.MODEL_GONE,
        text=pattern(
            r"model .{0,120}(?:does not exist|not found|decommissioned|has been deprecated|end of life)"
            r"|no such model|invalid model\b|not a valid model|no endpoints found"
        ),
        status=frozenset({400, 403, 404, 410, 422}),
    ),
    ErrorRule(
        ErrorKind.CONTENT_FILTER,
        codes=codes("content_filter", "content_policy_violation", "responsibleaipolicyviolation"),
    ),
    ErrorRule(
        ErrorKind.CONTENT_FILTER,
        text=pattern(
            r"violates (?:our )?usage (?:guidelines|policies)|content management policy|flagged by moderation"
            r"|input was flagged"
        ),
    ),
    # Their capacity and not our quota, although Cerebras and Mistral answer 429 for both.
    ErrorRule(
        ErrorKind.OVERLOADED,
        codes=codes(
            "overloaded_error",
            "server_is_overloaded",
            "capacity_exceeded",
            "queue_exceeded",
            "service_tier_capacity_exceeded",
        ),
    ),
    ErrorRule(
        ErrorKind.OVERLOADED,
        text=pattern(r"overloaded|over capacity|out of capacity"),
        status=frozenset({429, 500, 502, 503}),
    ),
    ErrorRule(ErrorKind.RATE_LIMITED, "model", text=pattern(r"rate-limited upstream"), status=frozenset({429})),
    # Which window of a 429 is full often shows in the sentence alone (Groq's "(TPD)", Cohere's "/ month").
    ErrorRule(
        ErrorKind.QUOTA_EXHAUSTED,
        "month",
        text=pattern(r"per[ _-]?month|/ ?month\b|monthly"),
        status=frozenset({429}),
    ),
    ErrorRule(
        ErrorKind.QUOTA_EXHAUSTED,
        "day",
        text=pattern(r"per[ _-]?day|/ ?day\b|\bdaily\b|\b(?:RPD|TPD)\b|\b86400s\b|modelbyday"),
        status=frozenset({429}),
    ),
    MODEL_FORBIDDEN,
    ErrorRule(ErrorKind.SERVER_ERROR, codes=codes("server_error", "internal_server_error", "internal_error")),
    ErrorRule(
        ErrorKind.RATE_LIMITED, codes=codes("rate_limit_exceeded", "rate_limit_error", "rate_limited", "slow_down")
    ),
)

_BY_STATUS: Mapping[int, ErrorKind] = {
    401: ErrorKind.AUTH,
    402: ErrorKind.BILLING,
    403: ErrorKind.AUTH,
    404: ErrorKind.MODEL_GONE,  # the path is ours and fixed, so what was not found is the model
    408: ErrorKind.SERVER_ERROR,
    409: ErrorKind.SERVER_ERROR,  # Anthropic: a conflict that passes
    410: ErrorKind.MODEL_GONE,
    413: ErrorKind.CONTEXT_LENGTH,
    424: ErrorKind.SERVER_ERROR,  # Groq: failed dependency
    425: ErrorKind.SERVER_ERROR,
    429: ErrorKind.RATE_LIMITED,
    498: ErrorKind.OVERLOADED,  # Groq: the flex tier has no capacity
    499: ErrorKind.SERVER_ERROR,  # Cohere, Groq: request cancelled
    529: ErrorKind.OVERLOADED,  # Anthropic
}
_BY_CLASS: Mapping[int, ErrorKind] = {4: ErrorKind.INVALID_REQUEST, 5: ErrorKind.SERVER_ERROR}
_SCOPES: Mapping[ErrorKind, Scope] = {
    ErrorKind.AUTH: "account",
    ErrorKind.BILLING: "account",
    ErrorKind.MODEL_GONE: "model",
    ErrorKind.RATE_LIMITED: "minute",
    ErrorKind.QUOTA_EXHAUSTED: "day",
}
MAY_WAIT = frozenset({ErrorKind.RATE_LIMITED, ErrorKind.QUOTA_EXHAUSTED, ErrorKind.OVERLOADED, ErrorKind.SERVER_ERROR})
"""Kinds that pass by themselves: only for these is it of use how long the provider asks to wait."""


def classify(facts: ErrorFacts, rules: ErrorRules) -> ErrorRule:
    """The first rule that matches, the provider's `rules` before the common ones; else a rule from the status alone."""
    return next((rule for rule in (*rules, *COMMON_RULES) if rule.matches(facts)), None) or ErrorRule(
        _by_status(facts.status)
    )


def scope_of(rule: ErrorRule) -> Scope | None:
    """What the failure is about, as the rule says or as its kind usually means; None for the request alone."""
    return rule.scope or _SCOPES.get(rule.kind)


def _by_status(status: int | None) -> ErrorKind:
    if status is None:
        return ErrorKind.BAD_RESPONSE
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, ErrorKind.BAD_RESPONSE)
