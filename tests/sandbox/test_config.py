"""A sandbox is made of the env's settings; where they change later, the difference is named."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import UsageError
from shipit.sandbox.config import SandboxConfig, from_settings
from shipit.settings import load

TOML = """
application = "worker"
bucket = "some-bucket"
default-env = "sandbox"

[env.sandbox.sandbox]
queues = 23
instances = 7

[env.real]
"""


def config(folder: Path) -> SandboxConfig:
    (folder / "shipit.toml").write_text(TOML)
    return from_settings(load(start=folder))


def test_generated_queues_come_in_families_that_a_wildcard_selects(tmp_path: Path) -> None:
    queues = config(tmp_path).queues
    assert len(set(queues)) == 23
    assert [name for name in queues if name.startswith("email-")] == ["email-01", "email-02", "email-03"]


def test_reports_go_to_the_bucket_of_builds_unless_they_have_their_own(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert made.reports == "s3://some-bucket/sandbox/reports/v1"
    assert replace(made, report_bucket="other").reports == "s3://other/sandbox/reports/v1"


def test_an_environment_that_is_no_sandbox_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "shipit.toml").write_text(TOML)
    with pytest.raises(UsageError, match="'real' is not a sandbox"):
        from_settings(load("real", start=tmp_path))


def test_the_same_configuration_differs_in_nothing(tmp_path: Path) -> None:
    made = config(tmp_path)
    assert made.differences(SandboxConfig.from_json(made.to_json())) == []


@given(queues=st.lists(st.text(min_size=1), unique=True), tags=st.dictionaries(st.text(), st.text()))
def test_what_is_written_is_read_back(queues: list[str], tags: dict[str, str]) -> None:
    made = SandboxConfig(
        root="/somewhere",
        port=1,
        application="worker",
        bucket="b",
        report_bucket="b",
        report_prefix="p",
        database="d",
        table="t",
        queue_tag="queue",
        tags=tags,
        queues=tuple(queues),
    )
    assert SandboxConfig.from_json(made.to_json()) == made


def test_each_difference_is_named_with_both_values(tmp_path: Path) -> None:
    wanted = config(tmp_path)
    made = replace(wanted, instances=200, hook_processes=2, queues=("a", "b"))
    assert wanted.differences(made) == [
        "it has 2 other queues",
        "instances is 200, not 7",
        "hook-processes is 2, not 4",
    ]
