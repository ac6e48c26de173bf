"""What Grafana provisions is written for the fleet as it is, by the real command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from project import QUEUES, Project


@pytest.fixture
def absent(shared_project: Project) -> Iterator[str]:
    """The name of a queue that the groups' tags name and that is not there, for as long as the test lasts."""
    assert shared_project.inv("sandbox.start").code == 0
    sqs, name = shared_project.client("sqs"), QUEUES[0]
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    sqs.delete_queue(QueueUrl=url)
    yield name
    sqs.create_queue(QueueName=name, Attributes=policy)


def test_an_export_knows_the_fleets_queues_groups_and_dead_letters(
    shared_project: Project, absent: str, tmp_path: Path
) -> None:
    folder = tmp_path / "grafana"

    wrong = shared_project.inv("dashboards.export", str(folder), "--depth", "many")
    assert wrong.code == 2
    assert "--depth" in wrong.err
    assert not folder.exists()

    ended = shared_project.inv("dashboards.export", str(folder), "--oldest", "5m", "--home", "/grafana")
    assert ended.code == 0, ended.all
    assert "5 files of sandbox written" in ended.out
    assert "5 queues, 12 alert rules" in ended.out
    assert (
        f"SQS has no queue named as the tag 'queue' says, so that nothing will be shown of it: {absent}" in ended.all
    )

    [queues] = folder.glob("dashboards/*/queues.json")
    panels = {panel["title"]: panel for panel in json.loads(queues.read_text())["panels"]}
    assert panels["Depth"]["targets"][0]["dimensions"] == {"QueueName": sorted(QUEUES)}
    assert panels["Dead letters"]["targets"][0]["dimensions"] == {
        "QueueName": [f"{name}-dead" for name in sorted(QUEUES)[1:]]
    }
    assert panels["In service"]["targets"][0]["dimensions"] == {
        "AutoScalingGroupName": [f"worker-{name}" for name in sorted(QUEUES)]
    }
    [rules] = folder.glob("alerting/*.yaml")
    named = [group["name"] for group in yaml.safe_load(rules.read_text())["groups"]]
    assert named == ["fleet", *(f"queue {name}" for name in sorted(QUEUES))]
    assert "more than 300 s" in rules.read_text()

    again = shared_project.inv("dashboards.export", str(folder), "--oldest", "5m", "--home", "/grafana")
    assert "0 files of sandbox written" in again.out
    changed = shared_project.inv("dashboards.export", "--folder", str(folder))
    assert changed.code == 2
    assert "--force" in changed.err
    assert shared_project.inv("dashboards.export", str(folder), "--force").code == 0
    assert "more than 180 s" in rules.read_text()


def test_without_a_folder_it_says_what_to_type(shared_project: Project) -> None:
    ended = shared_project.inv("dashboards.export")
    assert ended.code == 2
    assert "inv dashboards.export DIR" in ended.err
