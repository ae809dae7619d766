"""References to variables and secret files: how they are resolved, and that secrets never show."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import orjson
import pytest

from router.core.registry import Registry
from tests.registry.good import ENV, changed, examined, loaded

KEY = "gsk_a-real-secret"


def key_of(registry: Registry) -> str | None:
    key = registry.providers["groq"].api_key
    return key.reveal() if key else None


def with_key(reference: str) -> str:
    return changed(("${GROQ_API_KEY}", reference))


def test_a_variable_gives_the_key() -> None:
    assert key_of(loaded()) == KEY


def test_a_default_holds_where_the_variable_is_unset_or_empty() -> None:
    text = with_key("${GROQ_API_KEY:-ollama}")
    assert key_of(loaded(text)) == KEY
    assert key_of(loaded(text, {})) == "ollama"
    assert key_of(loaded(text, {"GROQ_API_KEY": ""})) == "ollama"
    assert loaded(with_key("${GROQ_API_KEY:-}"), {}).seats["groq/small"].routable


@pytest.mark.parametrize("env", [{}, {"GROQ_API_KEY": ""}])
def test_a_provider_without_its_key_is_loaded_with_a_note(env: dict[str, str]) -> None:
    checked = examined(changed(), env)
    assert [str(problem) for problem in checked.problems] == [
        "r.yaml:13:14: note: GROQ_API_KEY is not set: provider 'groq' gets no requests"
    ]
    assert checked.registry
    assert checked.registry.providers["groq"].missing_env == ("GROQ_API_KEY",)
    assert not checked.registry.seats["groq/small"].routable
    assert checked.registry.seats["local/tiny"].routable


def test_a_disabled_provider_without_its_key_gives_no_note() -> None:
    text = changed(("    adapter: groq\n", "    adapter: groq\n    enabled: false\n"))
    assert examined(text, {}).problems == ()


def test_a_secret_file_gives_the_key_without_its_final_newline(tmp_path: Path) -> None:
    secret = tmp_path / "groq"
    secret.write_text("from-a-file\n")
    assert key_of(loaded(with_key(f"${{file:{secret}}}"))) == "from-a-file"
    secret.unlink()
    assert loaded(with_key(f"${{file:{secret}}}")).providers["groq"].missing_env == (f"file:{secret}",)


def test_a_secret_file_is_small_regular_and_plain(tmp_path: Path) -> None:
    fifo, large, odd = tmp_path / "fifo", tmp_path / "large", tmp_path / "odd"
    os.mkfifo(fifo)
    large.write_text("x" * 5000)
    odd.write_text("secret-part\r\nsecond line\n")
    for path, fragment in ((fifo, "not a regular file"), (large, "larger than"), (odd, "stray line ends")):
        [problem] = examined(with_key(f"${{file:{path}}}")).problems
        assert (problem.line, problem.col, problem.severity) == (13, 14, "error")
        assert fragment in problem.message
        assert "secret-part" not in problem.message


def test_a_variable_in_the_address_is_filled_in_and_may_be_missing() -> None:
    text = changed(("http://127.0.0.1:11434/v1", "https://example.com/accounts/${ACCOUNT}/v1"))
    assert loaded(text, {**ENV, "ACCOUNT": "a1"}).providers["local"].base_url == "https://example.com/accounts/a1/v1"
    local = loaded(text).providers["local"]
    assert local.missing_env == ("ACCOUNT",)
    assert local.base_url == "https://example.com/accounts/${ACCOUNT}/v1"
    assert not loaded(text).seats["local/tiny"].routable


def test_a_value_cannot_change_the_structure_or_smuggle_an_address() -> None:
    assert key_of(loaded(env={"GROQ_API_KEY": "a: b # {c"})) == "a: b # {c"
    text = changed(("http://127.0.0.1:11434/v1", "https://${HOST}/v1"))
    [problem] = examined(text, {**ENV, "HOST": "me:pass@example.com"}).problems
    assert problem.severity == "error"
    assert "pass" not in problem.message


def test_without_an_environment_nothing_is_looked_up() -> None:
    checked = examined(with_key("${file:/dev/zero}"), None)
    assert checked.problems == ()
    assert checked.registry


def test_a_secret_never_shows() -> None:
    registry = loaded()
    assert KEY not in repr(registry)
    assert KEY not in str(registry.providers["groq"])
    assert KEY.encode() not in orjson.dumps(registry.document)
    with pytest.raises(TypeError):
        pickle.dumps(registry.providers["groq"].api_key)


def test_another_key_value_is_another_registry_with_the_same_hash() -> None:
    other = loaded(env={"GROQ_API_KEY": "another"})
    assert other != loaded()
    assert other.hash == loaded().hash


@pytest.mark.parametrize("value", ["gsk_pasted-by-mistake", "sk-live-pasted-by-mistake", "x" * 40])
def test_a_key_in_the_wrong_place_is_not_repeated(value: str) -> None:
    [problem] = examined(changed(("strategy: single-query", f"strategy: {value}"))).problems
    assert value not in problem.message
