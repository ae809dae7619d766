"""Names the kind of a failure by table: what holds for every provider, after the rules a provider has of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.errors import ErrorKind, Scope
from adapters.types import NOTHING


@dataclass(frozen=True, slots=True)
class Facts:
    """What an error says: its status as far as known, its codes in lower case, all its words, a hint when to return."""

    status: int | None
    codes: tuple[str, ...]
    message: str
    words: str
    wait: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Rule:
    """A failure is of `kind` if it has one of `codes`, its words match `text`, its status is one of `status`, and one
    of the response's headers has the value that `headers` names.

    A condition left empty holds always. `trust_wait` is False where the provider's own hint when to come back is wrong.
    """

    kind: ErrorKind
    scope: Scope | None = None
    codes: frozenset[str] = frozenset()
    text: re.Pattern[str] | None = None
    status: frozenset[int] = frozenset()
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    trust_wait: bool = True

    def matches(self, facts: Facts) -> bool:
        """True if every condition holds."""
        return (
            (not self.codes or not self.codes.isdisjoint(facts.codes))
            and (not self.status or facts.status in self.status)
            and (self.text is None or self.text.search(facts.words) is not None)
            and (not self.headers or any(facts.headers.get(name) == value for name, value in self.headers.items()))
        )


Rules = tuple[Rule, ...]


def words(pattern: str) -> re.Pattern[str]:
    """A pattern for `Rule.text`."""
    return re.compile(pattern, re.IGNORECASE)


def codes(*names: str) -> frozenset[str]:
    """Names for `Rule.codes`."""
    return frozenset(names)


# A 403 that speaks of a model is about that model: the key is good, and the provider's other models may still answer.
MODEL_CLOSED = Rule(
    ErrorKind.MODEL_GONE, text=words(r"\bmodels?[ /:`'\"]|licen[cs]e .{0,80}agreed"), status=frozenset({403})
)

# What holds for every provider; a provider's own rules come before these.
COMMON_RULES: Rules = (
    Rule(
        ErrorKind.BAD_RESPONSE, text=words(r"^\s*<(?:!doctype|html)"), status=frozenset({403, 404})
    ),  # a firewall's page
    Rule(
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
    Rule(
        ErrorKind.BILLING,
        text=words(
            r"credit balance is too low|used all available credits|spending limit|payment required|payment method"
            r"|(?:insufficient|not enough) (?:account )?(?:balance|credits)|requires more credits|prepaid credits"
            r"|requires the .{0,40}paid plan|does(?: no|n')t have any credits|account .{0,80}\bis suspended"
        ),
    ),
    Rule(
        ErrorKind.AUTH,
        codes=codes("invalid_api_key", "wrong_api_key", "api_key_invalid", "authentication_error", "unauthorized"),
    ),
    Rule(
        ErrorKind.AUTH,
        text=words(r"(?:invalid|incorrect|wrong|expired) (?:x-)?api[- ]key|api key (?:not valid|is invalid|expired)"),
    ),
    Rule(ErrorKind.AUTH, codes=codes("unsupported_country_region_territory")),
    Rule(
        ErrorKind.CONTEXT_LENGTH,
        codes=codes("context_length_exceeded", "tokens_limit_reached", "too_many_tokens", "string_above_max_length"),
    ),
    Rule(
        ErrorKind.CONTEXT_LENGTH,
        text=words(
            r"maximum context|context length|context window|prompt (?:is )?too long|maximum prompt length"
            r"|input token count .{0,40}exceeds|input tokens exceed|reduce the length of the (?:messages|prompt)"
            r"|request too large for"
        ),
    ),
    Rule(
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
    Rule(
        ErrorKind.MODEL_GONE,
        text=words(
            r"model .{0,120}(?:does not exist|not found|decommissioned|has been deprecated|end of life)"
            r"|no such model|invalid model\b|not a valid model|no endpoints found"
        ),
        status=frozenset({400, 403, 404, 410, 422}),
    ),
    Rule(
        ErrorKind.CONTENT_FILTER,
        codes=codes("content_filter", "content_policy_violation", "responsibleaipolicyviolation"),
    ),
    Rule(
        ErrorKind.CONTENT_FILTER,
        text=words(
            r"violates (?:our )?usage (?:guidelines|policies)|content management policy|flagged by moderation"
            r"|input was flagged"
        ),
    ),
    Rule(
        ErrorKind.OVERLOADED,
        codes=codes(
            "overloaded_error",
            "server_is_overloaded",
            "capacity_exceeded",
            "queue_exceeded",
            "service_tier_capacity_exceeded",
        ),
    ),
    Rule(
        ErrorKind.OVERLOADED,
        text=words(r"overloaded|over capacity|out of capacity"),
        status=frozenset({429, 500, 502, 503}),
    ),
    Rule(ErrorKind.RATE_LIMITED, "model", text=words(r"rate-limited upstream"), status=frozenset({429})),
    Rule(
        ErrorKind.QUOTA_EXHAUSTED,
        "month",
        text=words(r"per[ _-]?month|/ ?month\b|monthly"),
        status=frozenset({429}),
    ),
    Rule(
        ErrorKind.QUOTA_EXHAUSTED,
        "day",
        text=words(r"per[ _-]?day|/ ?day\b|\bdaily\b|\b(?:RPD|TPD)\b|\b86400s\b|modelbyday"),
        status=frozenset({429}),
    ),
    MODEL_CLOSED,
    Rule(ErrorKind.SERVER_ERROR, codes=codes("server_error", "internal_server_error", "internal_error")),
    Rule(ErrorKind.RATE_LIMITED, codes=codes("rate_limit_exceeded", "rate_limit_error", "rate_limited", "slow_down")),
)

_BY_STATUS: Mapping[int, ErrorKind] = {
    401: ErrorKind.AUTH,
    402: ErrorKind.BILLING,
    403: ErrorKind.AUTH,
    404: ErrorKind.MODEL_GONE,
    408: ErrorKind.SERVER_ERROR,
    409: ErrorKind.SERVER_ERROR,
    410: ErrorKind.MODEL_GONE,
    413: ErrorKind.CONTEXT_LENGTH,
    424: ErrorKind.SERVER_ERROR,
    425: ErrorKind.SERVER_ERROR,
    429: ErrorKind.RATE_LIMITED,
    498: ErrorKind.OVERLOADED,
    499: ErrorKind.SERVER_ERROR,
    529: ErrorKind.OVERLOADED,
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


def judge(facts: Facts, rules: Rules) -> Rule:
    """The first rule that fits, the provider's own before the common ones; else what the status alone says."""
    return next((rule for rule in (*rules, *COMMON_RULES) if rule.matches(facts)), None) or Rule(
        _by_status(facts.status)
    )


def scope_of(rule: Rule) -> Scope | None:
    """What the failure is about, as the rule says or as its kind usually means."""
    return rule.scope or _SCOPES.get(rule.kind)


def _by_status(status: int | None) -> ErrorKind:
    if status is None:
        return ErrorKind.BAD_RESPONSE
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, ErrorKind.BAD_RESPONSE)
