"""Resolves the references in a provider's entry: its base URL and key, or the names of what has no value."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.types import Secret
from router.registry.document import ProviderEntry
from router.registry.placeholders import Lookup, Resolved, resolve
from router.registry.problems import Finding
from router.registry.urls import normalise


@dataclass(frozen=True, slots=True)
class Account:
    """A provider's base URL and key; `missing` names the variables and secret files that have no value."""

    base_url: str
    api_key: Secret | None = None
    missing: tuple[str, ...] = ()


def open_account(name: str, entry: ProviderEntry, public_url: str, lookup: Lookup) -> tuple[Account, list[Finding]]:
    """The account of a provider, with the problems found in it.

    A missing value is a note, not an error: a registry may list providers whose keys are not set here. A provider that
    is not enabled gives no notes at all. `public_url` is its adapter's own base URL, used where the entry has none.
    """
    findings: list[Finding] = []
    key = _resolve(entry.api_key or "", ("providers", name, "api_key"), lookup, findings)
    address = _resolve(entry.base_url or public_url, ("providers", name, "base_url"), lookup, findings)
    base_url = address.text
    if not address.missing and base_url:
        try:
            base_url = normalise(base_url, adapter=entry.adapter, public_url=public_url)
        except ValueError as error:
            findings.append(Finding(("providers", name, "base_url"), str(error)))
    if not entry.enabled:
        findings = [finding for finding in findings if finding.severity == "error"]
    missing = tuple(dict.fromkeys(key.missing + address.missing))
    secret = Secret(key.text) if key.text and not key.missing else None
    return Account(base_url, secret, missing), findings


def _resolve(text: str, path: tuple[str, ...], lookup: Lookup, findings: list[Finding]) -> Resolved:
    try:
        resolved = resolve(text, lookup)
    except ValueError as error:
        findings.append(Finding(path, str(error)))
        return Resolved(text, ("unreadable",))
    findings += (
        Finding(path, f"{name} is not set: provider '{path[1]}' gets no requests", "note") for name in resolved.missing
    )
    return resolved
