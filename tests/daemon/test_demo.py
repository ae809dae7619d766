"""`quorum demo` as a newcomer runs it, and the OpenAI SDKs against it as services use them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.paths import ROOT

SDK_2 = Path(sys.prefix) / "openai-2"
# One model for each wire: native ones, a dialect, and one that is only data.
MODELS = [
    "openai/gpt-6-luna",
    "anthropic/claude-haiku-5-5",
    "gemini/gemini-3.1-flash-lite",
    "cohere/command-a-03-2025",
    "groq/openai/gpt-oss-20b",
    "mistral/mistral-small-latest",
]
BLIND = set(MODELS[3:])  # models of which the registry does not say that they take images


class Demo:
    """A `quorum demo` in a process of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "router", "demo", "--port", "0", "--data-dir", str(data_dir)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if line.startswith("Ctrl-C"):
                break
        found = re.search(r"base URL +(\S+)", self.said)
        assert found, self.said
        self.base_url = found[1]
        self.curl = next(line.strip() for line in self.said.splitlines() if line.startswith("  curl "))

    def family(self) -> list[psutil.Process]:
        """The process and everything it started."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    running.end(signal.SIGTERM)


def test_the_printed_curl_line_answers(demo: Demo) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    printed = subprocess.run(["sh", "-c", demo.curl], capture_output=True, check=True, timeout=60)
    assert json.loads(printed.stdout)["choices"][0]["message"]["content"] == "42"


@pytest.fixture(scope="module", params=["2", "3"])
def sdk(request: pytest.FixtureRequest, demo: Demo) -> Any:
    """What the conversation with one version of the SDK came to."""
    env = dict(os.environ)
    if request.param == "2":
        if not SDK_2.exists():
            pytest.skip("version 2 of the OpenAI SDK is not there: `make install` lays it beside version 3")
        env["PYTHONPATH"] = str(SDK_2)
    script = ROOT / "tests" / "support" / "sdk_conversation.py"
    ran = subprocess.run(
        [sys.executable, str(script), demo.base_url, *MODELS], env=env, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout)
    assert told["version"].startswith(f"{request.param}.")
    return told


def test_sdk_chat_and_stream(sdk: Any) -> None:
    for model, told in sdk["models"].items():
        assert told["chat"]["type"] == "ChatCompletion", model
        assert told["chat"]["text"] == "42", model
        assert told["chat"]["finish_reason"] == "stop", model
        assert told["chat"]["total_tokens"] > 0, model
        assert told["stream"]["type"] == "ChatCompletionChunk", model
        assert told["stream"]["text"] == "42", model
        assert told["stream"]["finish_reason"] == "stop", model
        assert told["stream"]["total_tokens"] > 0, model


def test_sdk_tools_with_a_result_turn(sdk: Any) -> None:
    for model, told in sdk["models"].items():
        assert told["tools"]["finish_reason"] == "tool_calls", model
        assert told["tools"]["name"] == "get_weather", model
        assert told["tools"]["arguments"] == {"city": "Paris"}, model
        assert "18 degrees" in told["tools"]["text"], model


def test_sdk_json_schema(sdk: Any) -> None:
    for model, told in sdk["models"].items():
        assert set(told["schema"]) == {"name", "age"}, model
        assert isinstance(told["schema"]["age"], int), model


def test_sdk_image_part(sdk: Any) -> None:
    for model, told in sdk["models"].items():
        if model in BLIND:
            assert told["image"] == {"refused": "unsupported"}, model
        else:
            assert "image" in told["image"]["text"], model


def test_sdk_errors_are_its_own_typed_objects(sdk: Any) -> None:
    assert sdk["errors"] == {
        "unknown_model": {"type": "NotFoundError", "status": 404, "code": "model_not_found"},
        "bad_strategy": {"type": "BadRequestError", "status": 400, "code": "unknown_strategy"},
        "bad_body": {"type": "BadRequestError", "status": 400, "code": "invalid_body"},
    }
    assert {"auto", "cheap", "council", "complex/ranked-fallback", *MODELS} <= set(sdk["listed"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_and_a_second_demo_works(tmp_path: Path, number: signal.Signals) -> None:
    for _ in range(2):
        running = Demo(tmp_path / "data")
        family = running.family()
        assert len(family) > 2, "the embedded stores run beside the daemon"

        assert running.end(number) == 0

        gone, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
        assert len(gone) == len(family)


def test_after_kill_9_nothing_keeps_the_next_start_from_working(tmp_path: Path) -> None:
    first = Demo(tmp_path / "data")
    family = first.family()
    first.end(signal.SIGKILL)

    second = Demo(tmp_path / "data")
    asked = subprocess.run(["sh", "-c", second.curl], capture_output=True, check=True, timeout=60)

    assert json.loads(asked.stdout)["quorum"]["attempts"] == 1
    second_family = second.family()
    assert second.end(signal.SIGTERM) == 0
    _, alive = psutil.wait_procs([*family, *second_family], timeout=30)
    assert alive == []
