"""What the pages tell a reader to type exists, and what exists is on a page: commands, flags, keys of shipit.toml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipit.lint import RULES
from shipit.settings import (
    BuildSettings,
    LintSettings,
    NotifySettings,
    RehearseSettings,
    ReportSettings,
    RolloutSettings,
    SandboxSettings,
    Settings,
)
from shipit.tasks import namespace

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"])
SCRIPTS = [ROOT / "examples/ci/deploy.sh", ROOT / ".github/workflows/deploy.yml"]
TABLES = {
    "build": BuildSettings,
    "reports": ReportSettings,
    "rollout": RolloutSettings,
    "notify": NotifySettings,
    "lint": LintSettings,
    "rehearse": RehearseSettings,
}
#: Flags of other programs that stand alone in the text.
FOREIGN = {"--memory"}


def flags_of(task: str) -> set[str]:
    found = set()
    for argument in namespace[task].get_arguments():
        for name in argument.names:
            found.add(f"--{name}" if len(name) > 1 else f"-{name}")
            if argument.kind is bool and argument.default is True:
                found.add(f"--no-{name}")
    return {flag.replace("_", "-") for flag in found}


TASKS = {name: flags_of(name) for name in namespace.task_names}
FLAGS = {flag for flags in TASKS.values() for flag in flags}


def code(text: str) -> Iterator[str]:
    """Yield what a page shows as code: fenced blocks and indented lines, and spans in backticks."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line
        else:
            yield from re.findall(r"`([^`]+)`", line)


def commands(lines: Iterator[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each `inv` command with its flags; a comment, a pipe or a semicolon ends it."""
    for line in lines:
        for found in re.finditer(r"\binv ([a-z][\w.-]*)([^|;#`]*)", line):
            words = [w.strip("[]()'\",.").partition("=")[0] for w in found[2].split(" inv ")[0].split()]
            yield found[1].rstrip("."), [w for w in words if re.fullmatch(r"--?[a-z][a-z-]*", w)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_on_a_page_exists_with_its_flags(page: Path) -> None:
    for task, flags in commands(code(page.read_text(encoding="utf-8"))):
        assert task in TASKS, f"inv {task}"
        assert set(flags) <= TASKS[task], f"inv {task}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_every_command_of_the_ci_job_exists_with_its_flags(script: Path) -> None:
    found = list(commands(iter(script.read_text(encoding="utf-8").splitlines())))
    assert {"publish", "deploy", "verify-versions"} <= {task for task, _ in found}
    for task, flags in found:
        assert set(flags) <= TASKS[task], f"inv {task}"
    [deploy] = [flags for task, flags in found if task == "deploy"]
    assert {"--yes", "--lock-wait"} <= set(deploy)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_flag_that_a_page_names_alone_is_one_of_ours(page: Path) -> None:
    alone = {found[0] for span in code(page.read_text(encoding="utf-8")) if (found := re.match(r"--[a-z-]+", span))}
    assert alone - FOREIGN <= FLAGS


def test_every_command_and_each_of_its_flags_is_on_a_page() -> None:
    text = "\n".join(line for page in PAGES for line in code(page.read_text(encoding="utf-8")))
    # What each fault takes is a table in docs/sandbox.md, by the names of its flags alone.
    spoken = {flag for task, flags in TASKS.items() if task != "sandbox.fault" for flag in flags}
    missing = {f for f in spoken if not re.search(rf"(?<![\w-]){f}(?![\w-])", text)}
    # A flag that is on by default is written as the one that turns it off; the default itself needs no name.
    assert missing <= {"--verify", "--rollout", "--message", "--ignore-stop-failures"}
    grouped = re.findall(r"inv (sandbox|lock)\.(\w+(?: \| \w+)*)", text)
    named = {f"{group}.{name}" for group, names in grouped for name in names.split(" | ")}
    assert {t for t in TASKS if t not in named and not re.search(rf"\binv {re.escape(t)}\b", text)} == set()


def keys(page: str, first: str) -> list[str]:
    """Return the keys in the first column of the page's table whose head begins with `first`."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith(f"| {first}"))
    found: list[str] = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        found += re.findall(r"`([^`]+)`", line.split("|")[1])
    return found


def test_the_page_of_settings_lists_every_key_and_no_other() -> None:
    named = keys("settings.md", "key")
    known = {f.replace("_", "-") for f in Settings.model_fields} - {*TABLES, "env", "root", "source", "sandbox"}
    for table, model in TABLES.items():
        known |= {f"{table}.{name.replace('_', '-')}" for name in model.model_fields}
    assert sorted(named) == sorted({*known, "[sandbox]"})


def test_the_page_of_the_sandbox_lists_every_key_and_no_other() -> None:
    named = keys("sandbox.md", "key of")
    assert sorted(named) == sorted(name.replace("_", "-") for name in SandboxSettings.model_fields)


def test_the_page_of_rules_is_what_the_rules_say() -> None:
    page = (ROOT / "docs/lint.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{r.id}` | {r.severity} | {r.finds} | {r.why} | {r.fix} |" for r in RULES]


def test_the_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {p.name for p in (ROOT / "docs").glob("*.md")} == set(re.findall(r"\(docs/([\w-]+\.md)\)", text))


def test_a_page_that_refers_to_another_names_one_that_is_there() -> None:
    for page in PAGES:
        for name in re.findall(r"\bdocs/([\w-]+\.md)", page.read_text(encoding="utf-8")):
            assert (ROOT / "docs" / name).is_file(), f"{page.name}: docs/{name}"
