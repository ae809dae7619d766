"""Files that were made to hurt: each is refused in one clear sentence, quickly and in little memory."""

from __future__ import annotations

import os
import random
import resource
import time
from pathlib import Path

import pytest

from router.registry.load import MAX_FILE_BYTES, check
from router.registry.strict_yaml import read_yaml
from tests.registry.good import ADAPTERS, GOOD, examined

ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(f"k{n}: {{<<: [{', '.join(['*a'] * 50)}]}}\n" for n in range(500))
BOMBS = {
    "aliases": (ALIAS_BOMB, "alias"),
    "merge keys": (MERGE_BOMB, "merge key"),
    "a recursive anchor": ("a: &a [*a]\n", "alias '*a'"),
    "depth in brackets": ("[" * 20_000, "nested more than 20 deep"),
    "depth in braces": ("{a: " * 20_000, "nested more than 20 deep"),
    "depth in lists": ("- " * 20_000, "nested more than 20 deep"),
    "depth in keys": ("? " * 20_000, "a key must be"),
    "depth in mappings": ("".join(f"{' ' * level}a:\n" for level in range(600)), "nested more than 20 deep"),
    "depth in turns": ("[{a: " * 20_000, "nested more than 20 deep"),
    "many values": ("a: [" + "1, " * 30_000 + "]", "more than 20,000 values"),
    "many keys": ("".join(f"k{n}: 1\n" for n in range(25_000)), "more than 20,000 values"),
    "one long line": ("a: " + "x" * 250_000, "unknown key 'a'"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_grows(name: str) -> None:
    text, fragment = BOMBS[name]
    before_kib, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    checked = examined(text)
    assert checked.registry is None
    assert any(fragment in problem.message for problem in checked.problems)
    assert all(len(problem.message) < 500 for problem in checked.problems)
    assert time.process_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64 * 1024


@pytest.mark.parametrize("levels", [21, 999, 1_000, 1_001, 20_000])
@pytest.mark.parametrize(
    ("before", "opening", "line", "col"),
    [
        ("", "[", 1, 21),
        ("", "[\n", 21, 1),
        ("", "{a: ", 1, 81),
        ("", "- ", 1, 41),
        ("- ", "- ", 1, 41),
        ("a: ", "[", 1, 23),
        ("version: 1\nä€𝄞: [1, ", "[{a: ", 2, 55),
    ],
)
def test_depth_is_refused_where_it_becomes_too_much(
    before: str, opening: str, levels: int, line: int, col: int
) -> None:
    [problem] = read_yaml((before + opening * levels).encode(), "r.yaml").problems
    assert str(problem) == f"r.yaml:{line}:{col}: error: nested more than 20 deep"


def found(path: Path) -> str:
    checked = check(path, env={}, adapters=ADAPTERS)
    assert checked.registry is None
    assert len(checked.problems) == 1
    return str(checked.problems[0])


def test_only_a_regular_file_of_a_sane_size_is_read(tmp_path: Path) -> None:
    fifo, large = tmp_path / "fifo", tmp_path / "large"
    os.mkfifo(fifo)
    with large.open("wb") as file:
        file.truncate(1 << 30)
    assert found(fifo) == f"{fifo}:1:1: error: is not a regular file"
    assert found(tmp_path) == f"{tmp_path}:1:1: error: is not a regular file"
    assert found(Path("/dev/zero")) == "/dev/zero:1:1: error: is not a regular file"
    assert found(large) == f"{large}:1:1: error: is larger than {MAX_FILE_BYTES:,} bytes"
    assert found(tmp_path / "none") == f"{tmp_path / 'none'}:1:1: error: cannot be read: No such file or directory"


def test_a_path_that_leads_nowhere_says_so(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert found(loop) == f"{loop}:1:1: error: cannot be read: Too many levels of symbolic links"


def test_no_damage_to_a_good_file_makes_the_check_itself_fail() -> None:
    dice = random.Random(7)
    good = GOOD.encode()
    for _ in range(1500):
        damaged = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(damaged))
            damaged[at : at + dice.choice((0, 1, 8))] = bytes(
                dice.choices(b"\x00\n :-[]{}&*!|>'\"%@`#?,\t~\xffa0$", k=2)
            )
        checked = examined(bytes(damaged))
        assert checked.registry or any(problem.severity == "error" for problem in checked.problems)
        lines = damaged.count(b"\n") + 2
        assert all(1 <= problem.line <= lines and problem.col >= 1 for problem in checked.problems)
