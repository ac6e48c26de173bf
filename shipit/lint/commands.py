"""Find the commands of Celery in shell text: which subcommand, with which options."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

#: Options before the subcommand that take a word (`celery --help`).
_TAKE_A_WORD = ("-A", "--app", "-b", "--broker", "--result-backend", "--loader", "--config", "--workdir")


@dataclass(frozen=True, kw_only=True)
class CeleryCommand:
    """Name one command: `inspect`, `worker`, …; its long options that have values; the line, from 1."""

    name: str
    options: Mapping[str, str]
    line: int


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines joined with their continuations, and the number of the first."""
    begun, at = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        at = at if begun else number
        if line.endswith("\\"):
            begun += line[:-1] + " "
        else:
            yield at, begun + line
            begun = ""
    if begun:
        yield at, begun


def celery_commands(text: str) -> Iterator[CeleryCommand]:
    """Yield the commands in the text of a shell script, or of an Exec line of a unit."""
    for number, line in logical_lines(text):
        if "celery" not in line:
            continue
        words = _words(line)
        for at, word in enumerate(words):
            before = words[at - 1] if at else ""
            is_program = word.split("/")[-1] == "celery" and (before == "-m" or not before.startswith("-"))
            if is_program and (found := _command(words[at + 1 :], number)):
                yield found


def _command(words: list[str], line: int) -> CeleryCommand | None:
    name, options, skip = "", {}, False
    for word, after in zip_longest(words, words[1:], fillvalue=""):
        if skip:
            skip = False
        elif word in (";", "|", "&", "&&", "||"):
            break
        elif word.startswith("-"):
            key, equals, value = word.partition("=")
            options[key] = value if equals else after
            skip = not name and not equals and word in _TAKE_A_WORD
        elif not name:
            name = word
    return CeleryCommand(name=name, options=options, line=line) if name.isalpha() else None


def _words(line: str) -> list[str]:
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    try:
        return list(reader)
    except ValueError:
        return line.split("#")[0].split()
