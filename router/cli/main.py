"""The command `quorum`. Exit code 0 is good, 1 means findings, 2 a wrong use of the command, 130 Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from router.cli import (
    ask,
    check,
    db,
    demo,
    diff,
    drain,
    env,
    explain,
    probe,
    reload,
    schema,
    serve,
    simulate,
    votes,
    weather,
)
from router.cli.client import ClientError
from router.cli.output import FINDINGS, GOOD, INTERRUPTED, USAGE, Findings, UsageError
from router.cli.verb import Verb
from router.core.settings import Settings, SettingsError, environment, load_settings
from router.core.text import did_you_mean, one_line, printable

VERBS: tuple[Verb, ...] = (
    serve.VERB,
    demo.VERB,
    simulate.VERB,
    ask.VERB,
    check.VERB,
    diff.VERB,
    reload.VERB,
    schema.VERB,
    explain.VERB,
    weather.VERB,
    probe.VERB,
    drain.DRAIN,
    drain.UNDRAIN,
    votes.VERB,
    env.VERB,
    db.VERB,
)
DISTRIBUTION = "quorum-router"
_SETTINGS_FLAGS = ("registry", "host", "workers", "data_dir", "url")
_LISTENERS = ("serve", "demo")  # the verbs whose --port is the setting; the simulator's is its own


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    try:
        _tolerate_narrow_encodings()
        arguments = _parser().parse_args(argv)
        status = _run(arguments)
        sys.stdout.flush()  # a pipe that is closed shows here, and not when the interpreter ends
    except (SettingsError, UsageError, ClientError, Findings) as error:
        print(printable(f"quorum {arguments.verb}: {error}"), file=sys.stderr)
        return USAGE if isinstance(error, SettingsError | UsageError) else FINDINGS
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough: nothing more can be said, on stderr neither
        sys.stderr.close()
        return FINDINGS
    return status


def _run(arguments: argparse.Namespace) -> int:
    """Runs the verb: at once, or on an event loop of its own if it is a coroutine."""
    if arguments.of is None:
        return _help(arguments)
    settings = load_settings(environment(), **_overrides(arguments))
    if arguments.of.logs:
        _set_up_log(settings)
    ended = arguments.of.run(arguments, settings)
    return ended if isinstance(ended, int) else asyncio.run(ended)


def _overrides(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings given as flags, as text or None."""
    given = {name: getattr(arguments, name, None) for name in _SETTINGS_FLAGS}
    return {**given, "port": arguments.port} if arguments.verb in _LISTENERS else given


def _set_up_log(settings: Settings) -> None:
    from router.observe import log

    log.configure(settings.log_level, settings.log_format)


def _tolerate_narrow_encodings() -> None:
    """A terminal that cannot show a character shows `?` in its place, rather than a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


# --- the words of the command line ------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """argparse, with every mistake in one line that names the word that was probably meant."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but an unknown flag is the verb's mistake, whose flags it is compared with."""
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser: _Parser = arguments.parser
            word = next((word for word in unknown if word.startswith("-")), unknown[0])
            known = parser._option_string_actions if word.startswith("-") else ()
            parser.error(f"unexpected {word!r}{did_you_mean(word.partition('=')[0], known)}")
        return arguments

    def error(self, message: str) -> NoReturn:
        """Ends the command with one line on standard error and exit code 2."""
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        hint = did_you_mean(wrong[1], re.findall(r"[\w-]+", wrong[2])) if wrong else ""
        self.exit(USAGE, f"{self.prog}: {one_line(message)}{hint} (see `{self.prog} --help`)\n")


class _Version(argparse.Action):
    """`--version`: asks for the installed version only when it is wanted."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(f"quorum {version()}")
        parser.exit(GOOD)


def version() -> str:
    """The version of the installed distribution."""
    from importlib import metadata

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return f"(version unknown: {DISTRIBUTION} is not installed as a package)"


def _parser() -> argparse.ArgumentParser:
    width = min(100, shutil.get_terminal_size().columns)
    examples = "\n".join(f"  {verb.example}" for verb in VERBS)

    def layout(prog: str) -> argparse.RawDescriptionHelpFormatter:
        return argparse.RawDescriptionHelpFormatter(prog, width=width)

    parser = _Parser(
        prog="quorum",
        description="A router between services and LLM providers.",
        epilog=f"examples:\n{examples}",
        formatter_class=layout,
    )
    parser.add_argument("--version", action=_Version, help="print the version")
    words = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        summary, description = _documented(verb, width)
        one = words.add_parser(
            verb.name,
            help=summary.replace("%", "%%"),
            description=description,
            epilog=f"example: {verb.example}",
            formatter_class=layout,
        )
        one.set_defaults(of=verb, parser=one, json=False)
        for flag in verb.flags:
            one.add_argument(*flag.names, **flag.options)
    help_ = words.add_parser("help", help="Prints the help of a verb, or this one")
    help_.add_argument("about", nargs="?", metavar="VERB", choices=[*words.choices])
    help_.set_defaults(of=None, parser=help_, parsers={**words.choices, None: parser})
    return parser


def _documented(verb: Verb, width: int) -> tuple[str, str]:
    """A verb's help in one line, and the whole of it in lines of `width` columns."""
    paragraphs = [" ".join(part.split()) for part in (verb.run.__doc__ or "").split("\n\n")]
    return paragraphs[0].removesuffix("."), "\n\n".join(textwrap.fill(part, width) for part in paragraphs)


def _help(arguments: argparse.Namespace) -> int:
    arguments.parsers[arguments.about].print_help()
    return GOOD
