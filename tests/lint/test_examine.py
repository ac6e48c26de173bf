"""All rules together: what is ignored, how files are called, what the hooks add; and no text makes a reader fail."""

from __future__ import annotations

import pytest
from bundles import File, bundle, found, look, rules
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import UsageError
from shipit.lint import RULES, check_names, examine
from shipit.models import QueueFacts, Severity

LATE = "celery-acks-late-without-reject"
CONFIG = "# celery\ntask_acks_late = True{}\n"
APPSPEC = """
    version: 0.0
    os: linux
    files:
      - source: /
        destination: /opt/shipit/incoming
    hooks:
      AfterInstall:
        - location: scripts/after.sh
    """
SWITCH = "#!/bin/sh\nln -sfn a b\n"


# Ignored


def test_a_comment_on_the_line_lets_a_finding_be() -> None:
    linted = look({"celeryconfig.py": CONFIG.format(f"  # shipit: ignore[{LATE}] short tasks")})
    assert (linted.findings, linted.ignored) == ((), 1)


def test_a_comment_alone_lets_the_line_below_it_be_and_no_other() -> None:
    unit = "[Service]\n; shipit: ignore[systemd-current]\nExecStart=/x/current/a\nWorkingDirectory=/x/current\n"
    assert found({"a.service": unit}) == [("systemd-current", "a.service", 4)]


def test_a_comment_names_several_rules() -> None:
    text = "import celery\nworker_prefetch_multiplier = 9  # shipit: ignore[celery-prefetch, systemd-type]\n"
    assert look({"celeryconfig.py": text}).ignored == 1


def test_a_comment_for_another_rule_lets_nothing_be() -> None:
    assert rules({"celeryconfig.py": CONFIG.format("  # shipit: ignore[celery-prefetch]")}) == {LATE}


def test_a_comment_that_names_no_rule_is_found_with_the_nearest() -> None:
    linted = look({"celeryconfig.py": CONFIG.format("  # shipit: ignore[celery-acks-late]")})
    [late, unknown] = linted.findings
    assert (late.rule, unknown.rule, unknown.line) == (LATE, "unknown-rule", 2)
    assert LATE in unknown.what


def test_a_setting_lets_a_rule_be_everywhere() -> None:
    linted = look({"celeryconfig.py": CONFIG.format(""), "b/celeryconfig.py": CONFIG.format("")}, ignore=[LATE])
    assert (linted.findings, linted.ignored) == ((), 2)


def test_a_setting_that_names_no_rule_is_refused_with_the_nearest() -> None:
    check_names([rule.id for rule in RULES])
    with pytest.raises(UsageError, match=r"no rule 'systemd-killmode'.*mean 'systemd-kill-mode'"):
        check_names(["systemd-killmode"])


# Rules


def test_every_rule_says_what_it_finds_why_and_what_to_do() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.finds
        assert rule.why
        assert rule.fix


def test_what_the_reading_of_the_hooks_finds_is_told_too() -> None:
    files: dict[str, str | File] = {"appspec.yml": APPSPEC, "scripts/after.sh": SWITCH}
    assert found(files) == []
    assert found({**files, "scripts/after.sh": SWITCH + "sleep 9 &\n"}) == [("hook-script", "scripts/after.sh", 3)]
    stop = APPSPEC + "  ApplicationStop:\n        - location: scripts/after.sh\n"
    assert rules({**files, "appspec.yml": stop}) == {"appspec"}
    missing = look({"appspec.yml": APPSPEC}).findings
    assert [(f.rule, f.line) for f in missing if f.severity is Severity.ERROR] == [("appspec", 8)]
    assert look({"appspec.yml": APPSPEC}, appspec=False).findings == ()


def test_findings_are_in_order_and_once() -> None:
    files: dict[str, str | File] = {"b.service": "[Service]\nExecStart=/x/current/a /x/current/b\n"}
    files["a/celeryconfig.py"] = "# celery\nworker_prefetch_multiplier = 4\ntask_acks_late = True\n"
    assert [(file, line) for _, file, line in found(files)] == [
        ("a/celeryconfig.py", 2),
        ("a/celeryconfig.py", 3),
        ("b.service", 2),
    ]


def test_findings_call_files_what_the_project_does() -> None:
    linted = examine(
        bundle({"celeryconfig.py": CONFIG.format("")}),
        application="worker",
        shown={"celeryconfig.py": "src/celeryconfig.py"},
    )
    assert [f.place for f in linted.findings] == ["src/celeryconfig.py:2"]


def test_a_file_that_cannot_be_read_is_passed_over() -> None:
    class Gone(File):
        def read(self, limit: int) -> bytes:
            raise OSError("gone")

    files: dict[str, str | File] = dict.fromkeys(
        ("appspec.yml", "celeryconfig.py", "a.service", "bin/a", "uv.lock"), Gone()
    )
    assert look(files).files == 0


# Any text


WORDS = st.sampled_from(
    [
        *("celery", "app", ".conf", ".update(", "task_acks_late", "=", "True", "{", "}", "(", ")", "**", "'", '"'),
        *("broker_transport_options", "[", "]", ":", ",", "a", "a=a", "dict(", "@app.task(", "def f(): pass", "\\\n"),
        *("[Service]", "KillMode", "ExecStart=", "/current/", "TimeoutStopSec=9", "#", "shipit: ignore[", "&", "|"),
        *("kombu", "==", "<", "5.6", 'name = "kombu"', "--time-limit", "inspect", "crontab -", "spot/instance"),
        *("\n", "9" * 400, "\0", "\ud7ff", "\r", "\t", "    ", "$(", "`", ";", "%", "1e999", "-", "*", "//0"),
    ]
)
TEXTS = st.one_of(st.text(), st.binary(), st.lists(WORDS, max_size=30).map("".join), st.lists(WORDS).map(" ".join))
NAMES = (
    "app.py",
    "bin/worker",
    "a.service",
    "a.service.d/x.conf",
    "a.timer",
    "uv.lock",
    "requirements.txt",
    "crontab",
)


@given(st.lists(TEXTS, min_size=len(NAMES), max_size=len(NAMES)), TEXTS)
def test_no_text_makes_a_reader_fail(texts: list[str | bytes], env: str | bytes) -> None:
    files = {name: File(text, executable=True) for name, text in zip(NAMES, texts, strict=True)}
    files |= {"app.py": _mentioning(files["app.py"]), "scripts/defaults.env": File(env)}
    linted = examine(files, application="a", asked=[QueueFacts(name="q")], notes=True, appspec=False)
    assert all((f.file in files or f.file == "sqs") and f.line >= 0 for f in linted.findings)


def _mentioning(file: File) -> File:
    return File(b"# celery\n" + (file.text.encode() if isinstance(file.text, str) else file.text))


@pytest.mark.parametrize(
    "text",
    [
        "A = B\nB = A\ntask_acks_late = A",
        "A = {**A}\nbroker_transport_options = A",
        "A = {**B}\nB = {**A}\napp.conf.update(A)",
        "task_time_limit = " + "1+" * 5000 + "1",
        "task_time_limit = " + "(" * 500 + ")" * 500,
        "broker_transport_options = " + "{'a':" * 80 + "1" + "}" * 80,
        "task_time_limit = 9 ** 9 ** 9 ** 9",
        "task_time_limit = " + "9" * 5000,
        "task_time_limit = " + "9" * 400,
        "task_time_limit = -1e999",
        "task_time_limit = 1 / 0",
        "task_time_limit = True * 'x' * 10 ** 12",
        "x = '\\d'; task_acks_late = None is 1",
    ],
    ids=lambda text: text[:30],
)
def test_source_made_to_confuse_only_says_less(text: str, recwarn: pytest.WarningsRecorder) -> None:
    assert rules({"celeryconfig.py": f"# celery\n{text}\n"}) <= {"celery-long-poll-without-quiesce"}
    assert not recwarn
