"""What the CodeDeploy agent would refuse in an appspec.yml is found, with its place, before anything ships."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.appspec import Finding, read_appspec
from shipit.models import Severity

HEAD = "version: 0.0\nos: linux\n"


def findings(text: str) -> list[Finding]:
    return list(read_appspec(text.encode())[1])


def only(text: str) -> Finding:
    found = findings(text)
    assert len(found) == 1, [str(f) for f in found]
    return found[0]


def test_all_that_a_file_orders_is_read() -> None:
    appspec, found = read_appspec(
        b"""version: 0.0
os: linux
file_exists_behavior: OVERWRITE
files:
  - source: /
    destination: /opt/app
  - source: etc/app.conf
    destination: /etc
permissions:
  - object: /opt/app
    pattern: "*.sh"
    except: [secret.sh]
    owner: app
    group: app
    mode: 755
    type: [file]
hooks:
  BeforeInstall:
    - location: scripts/a.sh
      timeout: 60
      runas: app
    - location: /scripts/b.sh
      timeout: 90
"""
    )
    assert found == ()
    assert [(f.source, f.destination) for f in appspec.files] == [("", "/opt/app"), ("etc/app.conf", "/etc")]
    assert [(h.location, h.timeout, h.runas) for h in appspec.hooks["BeforeInstall"]] == [
        ("scripts/a.sh", 60, "app"),
        ("scripts/b.sh", 90, ""),
    ]
    (permission,) = appspec.permissions
    assert (permission.mode, permission.excluded, permission.types) == ("755", ("secret.sh",), ("file",))
    assert appspec.file_exists_behavior == "OVERWRITE"


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("version: '0.0'\nos: linux\n", 1, 10, "not the number 0.0"),
        ("version: 1.0\nos: linux\n", 1, 10, "not the number 0.0"),
        ("os: linux\n", 1, 1, "version is missing"),
        ("version: 0.0\n", 1, 1, "os is missing"),
        ("version: 0.0\nos: windows\n", 2, 5, "os is 'windows'"),
        ("version: 0.0\nos: Linux\n", 2, 5, "os is 'Linux'"),
        (HEAD + "os: linux\n", 3, 1, "os stands here twice"),
        (HEAD + "files:\n\t- source: a\n", 4, 1, "a tab"),
        (HEAD + "files: [\n", 4, 1, "not YAML"),
        (HEAD + "---\na: b\n", 3, 1, "another document"),
        (HEAD + "file_exists_behavior: overwrite\n", 3, 23, "file_exists_behavior is 'overwrite'"),
        (HEAD + "files:\n  source: a\n  destination: /b\n", 4, 3, "files is not a list"),
        (HEAD + "files:\n  - source: a\n", 4, 5, "destination is missing"),
        (HEAD + "files:\n  - destination: /a\n", 4, 5, "source is missing"),
        (HEAD + "files:\n  - source: ../a\n    destination: /b\n", 4, 13, "leads outside"),
        (HEAD + "files:\n  - source: a/../../b\n    destination: /b\n", 4, 13, "leads outside"),
        (HEAD + "files:\n  - source: a\n    destination: opt/b\n", 5, 18, "is relative"),
        (HEAD + "permissions:\n  - object: /a\n    mode: 0755\n", 5, 11, "YAML reads mode 0755 as another number"),
        (HEAD + "permissions:\n  - object: /a\n    mode: 788\n", 5, 11, "octal"),
        (HEAD + "permissions:\n  - object: /a\n    mode: rwx\n", 5, 11, "octal"),
        (HEAD + "permissions:\n  - object: /a\n    type: file\n", 5, 11, "type is not a list"),
        (HEAD + "permissions:\n  - object: /a\n    type: [link]\n", 5, 11, "type 'link'"),
        (HEAD + "permissions:\n  - mode: 755\n", 4, 5, "object is missing"),
        (HEAD + "hooks:\n  beforeInstall:\n    - location: a\n", 4, 3, "'beforeInstall' is unknown"),
        (HEAD + "hooks:\n  PreInstall:\n    - location: a\n", 4, 3, "'PreInstall' is unknown"),
        (HEAD + "hooks:\n  Install:\n    - location: a\n", 5, 5, "the agent's own event"),
        (HEAD + "hooks:\n  BeforeInstall:\n", 4, 17, "has no script"),
        (HEAD + "hooks:\n  BeforeInstall: []\n", 4, 18, "has no script"),
        (HEAD + "hooks:\n  BeforeInstall:\n    - timeout: 3\n", 5, 7, "location is missing"),
        (HEAD + "hooks:\n  BeforeInstall:\n    - scripts/a.sh\n", 5, 7, "not a map"),
        (HEAD + "hooks:\n  BeforeInstall:\n    - location: ../a\n", 5, 17, "leads outside"),
        (HEAD + "hooks:\n  BeforeInstall:\n    - location: a\n      timeout: 0\n", 6, 16, "not a positive number"),
        (HEAD + "hooks:\n  BeforeInstall:\n    - location: a\n      timeout: -5\n", 6, 16, "not a positive number"),
        (HEAD + "hooks:\n  BeforeInstall:\n    - location: a\n      timeout: 5m\n", 6, 16, "not a positive number"),
        (HEAD + "hooks:\n  BeforeInstall:\n    - location: a\n      timeout: 3601\n", 6, 16, "above CodeDeploy's"),
        ("- version: 0.0\n", 1, 1, "is not a map but a list"),
        ("", 0, 0, "the file is empty"),
        ("# only this\n", 0, 0, "the file is empty"),
    ],
)
def test_what_the_agent_refuses_is_an_error_with_its_place(text: str, line: int, column: int, words: str) -> None:
    found = only(text)
    assert words in found.reason
    assert (found.line, found.column, found.severity) == (line, column, Severity.ERROR)
    assert found.fix


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "hook:\n  BeforeInstall: []\n", "did you mean hooks?"),
        (HEAD + "file-exists-behavior: OVERWRITE\n", "did you mean file_exists_behavior?"),
        (HEAD + "hooks:\n  AfterInstall:\n    - location: a\n      time_out: 3\n", "did you mean timeout?"),
        (HEAD + "hooks:\n  ApplicationStop:\n    - location: a\n", "stop the old process in"),
        (HEAD + "hooks:\n  AfterInstall:\n    - location: a\n    - location: b\n", "give each script a timeout"),
        (HEAD + "files:\n  - source: /a\n    destination: /b\n", "write `source: a`"),
    ],
)
def test_what_the_agent_accepts_and_people_regret_is_a_warning(text: str, words: str) -> None:
    found = only(text)
    assert words in found.fix
    assert found.severity is Severity.WARNING


def test_a_list_of_scripts_written_as_a_map_is_found() -> None:
    reasons = [f.reason for f in findings(HEAD + "hooks:\n  BeforeInstall:\n    location: a\n")]
    assert "BeforeInstall is not a list" in reasons


def test_an_anchor_and_its_alias_are_found() -> None:
    found = findings(HEAD + "x: &a 1\ny: *a\n")
    assert [f.reason[-4:] for f in found if f.severity is Severity.ERROR] == ["(&a)", "(*a)"]


@pytest.mark.parametrize("mode", ['"0755"', "755", "0", "4755"])
def test_a_mode_that_the_agent_can_read_passes(mode: str) -> None:
    assert findings(HEAD + f"permissions:\n  - object: /a\n    mode: {mode}\n") == []


def test_a_finding_reads_like_a_compiler_s() -> None:
    assert (
        str(only(HEAD + "os: linux\n"))
        == "appspec.yml:3:1: error: os stands here twice; the last one would win; keep one"
    )


@given(st.one_of(st.binary(max_size=200), st.text("versionos:0.-[]{}&*!|>\"'%@`#\t\n ", max_size=80).map(str.encode)))
def test_no_text_makes_the_reader_fall(text: bytes) -> None:
    appspec, found = read_appspec(text)
    assert found or appspec
