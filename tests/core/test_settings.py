"""Every setting: its default, its allowed values, its sources, and the error for a wrong value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from adapters.types import Secret
from router.core.settings import VARIABLES, Settings, SettingsError, describe, load_settings


def test_with_nothing_set_everything_has_its_default() -> None:
    found = load_settings({})
    assert found == Settings(
        registry=Path("./registry.yaml"),
        database_url=None,
        redis_url=None,
        data_dir=Path("./.quorum"),
        host="127.0.0.1",
        port=8080,
        workers=1,
        log_level="info",
        log_format="auto",
        drain_timeout_s=30.0,
        payloads="full",
        insecure=False,
        url="http://127.0.0.1:8080",
        api_key=None,
    )
    assert found.secrets() == []


def test_every_setting_is_described() -> None:
    rows = describe(load_settings({}))
    assert {variable.field for variable in VARIABLES} == {field.name for field in fields(Settings)}
    assert [row["name"] for row in rows] == [variable.name for variable in VARIABLES]
    assert all(row["meaning"] for row in rows)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("QUORUM_REGISTRY", "/etc/quorum/r.yaml", "registry", Path("/etc/quorum/r.yaml")),
        ("QUORUM_REGISTRY", "", "registry", Path("./registry.yaml")),
        ("DATABASE_URL", "postgres://u:p@h/d", "database_url", Secret("postgres://u:p@h/d")),
        ("DATABASE_URL", "", "database_url", None),
        ("REDIS_URL", "redis://h", "redis_url", Secret("redis://h")),
        ("QUORUM_DATA_DIR", "/var/lib/quorum", "data_dir", Path("/var/lib/quorum")),
        ("QUORUM_HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("QUORUM_PORT", "0", "port", 0),
        ("QUORUM_PORT", "65535", "port", 65535),
        ("PORT", "9000", "port", 9000),
        ("QUORUM_LOG_LEVEL", "Debug", "log_level", "debug"),
        ("QUORUM_LOG_FORMAT", "JSON", "log_format", "json"),
        ("QUORUM_DRAIN_TIMEOUT", "250ms", "drain_timeout_s", 0.25),
        ("QUORUM_DRAIN_TIMEOUT", "1.5m", "drain_timeout_s", 90.0),
        ("QUORUM_DRAIN_TIMEOUT", "1h", "drain_timeout_s", 3600.0),
        ("QUORUM_DRAIN_TIMEOUT", "1d", "drain_timeout_s", 86400.0),
        ("QUORUM_PAYLOADS", "off", "payloads", "off"),
        ("QUORUM_INSECURE", "1", "insecure", True),
        ("QUORUM_INSECURE", "0", "insecure", False),
        ("QUORUM_API_KEY", "qk-1", "api_key", Secret("qk-1")),
    ],
)
def test_good_values(name: str, text: str, field: str, value: Any) -> None:
    assert getattr(load_settings({name: text}), field) == value


@pytest.mark.parametrize(
    ("env", "fragment"),
    [
        ({"QUORUM_PORT": "eighty"}, "QUORUM_PORT: 'eighty' is not allowed, it must be a whole number from 0 to 65535"),
        ({"QUORUM_PORT": "65536"}, "'65536' is not allowed"),
        ({"QUORUM_PORT": "-1"}, "'-1' is not allowed"),
        ({"QUORUM_PORT": "٨٠"}, "a whole number"),
        ({"QUORUM_PORT": "9" * 5_000}, "it must be a whole number from 0 to 65535"),
        ({"PORT": "http"}, "'http' is not allowed"),
        ({"QUORUM_WORKERS": "0"}, "QUORUM_WORKERS: '0'"),
        ({"QUORUM_LOG_LEVEL": "loud"}, "one of debug, info, warning, error"),
        ({"QUORUM_LOG_FORMAT": "xml"}, "QUORUM_LOG_FORMAT: 'xml'"),
        ({"QUORUM_DRAIN_TIMEOUT": "30"}, "a duration such as 250ms, 30s, 5m, 2h or 14d"),
        ({"QUORUM_DRAIN_TIMEOUT": "-1s"}, "a duration"),
        ({"QUORUM_PAYLOADS": "some"}, "one of off, full"),
        ({"QUORUM_INSECURE": "yes"}, "one of 0, 1"),
        ({"QUORUM_REGISTY": "x"}, "QUORUM_REGISTY is not a setting, did you mean QUORUM_REGISTRY?"),
        ({"QUORUM_DRAIN_TIMOUT": "5s"}, "did you mean QUORUM_DRAIN_TIMEOUT?"),
        ({"QUORUM_API_KEY_FIEL": "x"}, "did you mean QUORUM_API_KEY_FILE?"),
        ({"DATABASE_URL_FILE": "/nowhere/at/all"}, "DATABASE_URL_FILE: cannot read /nowhere/at/all: No such file"),
        ({"REDIS_URL_FILE": "/"}, "REDIS_URL_FILE: cannot read /: Is a directory"),
    ],
)
def test_a_wrong_value_is_reported_in_one_sentence(env: Mapping[str, str], fragment: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(env)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_variables_of_others_are_left_alone() -> None:
    assert load_settings({"QUORUM_OF_SENATORS": "51", "HOME": "/root"}) == load_settings({})


def test_flags_win_over_the_environment() -> None:
    found = load_settings({"QUORUM_PORT": "1", "QUORUM_HOST": "h"}, port="2", host=None)
    assert (found.port, found.host) == (2, "h")
    with pytest.raises(SettingsError, match="QUORUM_PORT: 'x' is not allowed"):
        load_settings({}, port="x")


def test_our_own_name_wins_over_the_platform_s() -> None:
    assert load_settings({"QUORUM_PORT": "1", "PORT": "2"}).port == 1


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgres://u:from-file@h/d\n")
    found = load_settings({"DATABASE_URL_FILE": str(file)})
    assert found.database_url == Secret("postgres://u:from-file@h/d")
    direct = load_settings({"DATABASE_URL_FILE": str(file), "DATABASE_URL": "postgres://h"})
    assert direct.database_url == Secret("postgres://h")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8 text"):
        load_settings({"DATABASE_URL_FILE": str(file)})


def test_secrets_never_show_and_are_listed_for_masking() -> None:
    found = load_settings(
        {
            "DATABASE_URL": "postgres://u:p%40ss-word@h/d",
            "REDIS_URL": "redis://:hunter-22@h",
            "QUORUM_API_KEY": "qk-123",
        }
    )
    shown = repr(found) + str(describe(found))
    assert not any(secret in shown for secret in ("p%40ss", "p@ss", "hunter", "qk-123"))
    assert {"p@ss-word", "hunter-22", "qk-123", "redis://:hunter-22@h"} <= set(found.secrets())
