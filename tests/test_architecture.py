"""The import rules of the package hold: who may know boto3, rich, fabric, and whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import shipit

PACKAGE = Path(shipit.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
VOCABULARY = {"errors", "models", "events", "settings", "version", "wording", "interrupts", "clock", "home"}
#: The verbs, and what each may import beyond the vocabulary.
VERBS: dict[str, set[str]] = {
    "appspec": set(),
    "bundle": set(),
    "lint": {"appspec"},
    "build": {"bundle", "appspec", "lint"},
    "hosts": {"build"},
    "publish": set(),
    "plan": set(),
    "rollout": set(),
    "diagnose": set(),
    "verify": set(),
    "ledger": set(),
    "lock": set(),
    "order": set(),
    "history": set(),
    "estimate": set(),
    "status": set(),
    "report": set(),
    "dashboards": set(),
    "notify": set(),
    "rehearse": set(),
    "setup": set(),
    "fresh": set(),
    "versions": set(),
    "cost": set(),
}
#: yaml is not among them: Invoke imports it by itself.
HEAVY = ("boto3", "botocore", "rich", "fabric", "pydantic", "isal", "moto", "duckdb", "sqlglot")


def room(module: Path) -> str:
    """Return the module's place in the package: `rollout`, or `aws`, `display`, `sandbox` for a subpackage."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[str]:
    """Yield all modules imported anywhere in the file, in dotted form."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(library: str) -> set[str]:
    return {room(m) for m in MODULES if any(i.split(".")[0] == library for i in imports(m))}


def neighbours(module: Path) -> set[str]:
    """Return the rooms of the package that the module imports, its own left out."""
    found = {i.split(".")[1] for i in imports(module) if i.startswith("shipit.")}
    return found - {room(module)}


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("boto3", {"aws", "sandbox"}),
        ("botocore", {"aws", "sandbox"}),
        ("rich", {"display"}),
        ("fabric", {"hosts", "build"}),
        ("moto", {"sandbox"}),
        ("duckdb", {"sandbox"}),
        ("sqlglot", {"sandbox"}),
    ],
)
def test_a_library_is_known_only_behind_its_door(library: str, allowed: set[str]) -> None:
    assert importers(library) <= allowed


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_verb_knows_the_vocabulary_and_no_other_verb(verb: str) -> None:
    own = [m for m in MODULES if room(m) == verb]
    assert own
    for module in own:
        assert neighbours(module) <= VOCABULARY | VERBS[verb], module


def test_only_the_wiring_knows_the_sandbox() -> None:
    knowing = {room(m) for m in MODULES if "sandbox" in neighbours(m)}
    assert knowing <= {"wiring"}


def test_the_gateways_know_only_the_vocabulary() -> None:
    for module in MODULES:
        if room(module) == "aws":
            assert neighbours(module) <= VOCABULARY | {"sql"}, module


def test_the_display_knows_only_the_vocabulary() -> None:
    for module in MODULES:
        if room(module) == "display":
            assert neighbours(module) <= VOCABULARY, module


def test_the_sandbox_knows_no_verb_and_no_gateway() -> None:
    for module in MODULES:
        if room(module) == "sandbox":
            assert neighbours(module) <= VOCABULARY | {"sql", "appspec"}, module


def test_listing_the_tasks_imports_nothing_heavy() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys, shipit.tasks; print(*set(sys.modules) & set({HEAVY!r}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == []


def test_no_module_outgrows_a_reader() -> None:
    long = {str(m.relative_to(PACKAGE)): n for m in MODULES if (n := len(m.read_text().splitlines())) > 400}
    assert long == {}
