"""What an environment has of its own stands in its files: names, limits, queues, however many."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from fakes import NOON
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipit.dashboards import Facts, Work, render
from shipit.errors import UsageError
from tools.grafana.expanded import EXAMPLE, boards, queries


def fleet(names: list[str]) -> Facts:
    return replace(
        EXAMPLE, works=tuple(Work(queue=n, asgs=(f"workers-{n}",), dead_letter=f"{n}-dead") for n in names)
    )


def panel(facts: Facts, board: str, title: str) -> Any:
    [found] = [p for p in boards(render(facts))[board]["panels"] if p["title"] == title]
    return found


def rules(facts: Facts) -> list[Any]:
    groups = yaml.safe_load(render(facts)[f"alerting/{facts.key}.yaml"])["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_files_lie_as_grafana_looks_for_them() -> None:
    assert sorted(render(EXAMPLE)) == [
        "alerting/shipit-prod.yaml",
        "dashboards/shipit-prod.yaml",
        "dashboards/shipit-prod/queues.json",
        "dashboards/shipit-prod/versions.json",
        "datasources/shipit-prod.yaml",
    ]
    [provider] = yaml.safe_load(render(EXAMPLE)["dashboards/shipit-prod.yaml"])["providers"]
    assert provider["options"]["path"] == "/etc/grafana/provisioning/dashboards/shipit-prod"


def test_the_data_sources_ask_where_the_environment_is() -> None:
    found = yaml.safe_load(render(EXAMPLE)["datasources/shipit-prod.yaml"])["datasources"]
    athena, cloudwatch = (source["jsonData"] for source in found)
    assert (athena["defaultRegion"], athena["database"], athena["workgroup"]) == ("eu-west-1", "shipit", "primary")
    assert athena["outputLocation"] == "s3://acme-shipit/athena/"
    assert cloudwatch["defaultRegion"] == "eu-west-1"


def test_limits_are_numbers_in_the_rules_and_words_beside_them() -> None:
    found = {(r["labels"].get("queue"), r["uid"].rpartition("-")[2]): r for r in rules(EXAMPLE)}
    assert set(found) == {(None, "drift"), (None, "silent")} | {
        (queue, kind) for queue in ("email", "reports") for kind in ("oldest", "depth")
    }
    oldest = found["email", "oldest"]
    assert oldest["data"][0]["model"]["dimensions"] == {"QueueName": "email"}
    assert oldest["data"][2]["model"]["conditions"][0]["evaluator"] == {"type": "gt", "params": [180]}
    assert "more than 180 s" in oldest["annotations"]["summary"]
    assert oldest["labels"]["asg"] == "workers-email"
    drift, silent = found[None, "drift"], found[None, "silent"]
    assert (drift["for"], silent["for"]) == ("15m", "0s")
    # Silence of those who verify is no good news; a queue that nobody uses has no metrics.
    assert (drift["noDataState"], oldest["noDataState"]) == ("NoData", "OK")


def test_two_environments_share_one_grafana() -> None:
    here, there = rules(EXAMPLE), rules(replace(EXAMPLE, env="staging"))
    assert not {r["uid"] for r in here} & {r["uid"] for r in there}
    assert not {r["title"] for r in here} & {r["title"] for r in there}
    assert not set(render(EXAMPLE)) & set(render(replace(EXAMPLE, env="staging")))


@pytest.mark.parametrize("env", ["a b", "prod.eu", "x" * 64, "PROD_1"])
def test_what_an_odd_name_becomes_in_addresses_is_short_plain_and_its_own(env: str) -> None:
    facts = replace(EXAMPLE, env=env)
    uids = [r["uid"] for r in rules(facts)] + [board["uid"] for board in boards(render(facts)).values()]
    assert all(len(uid) <= 40 and uid.replace("-", "").isalnum() and uid.isascii() for uid in uids)
    like_it = env[:-1] + "y" if len(env) > 20 else env.translate(str.maketrans(" ._", "---"))
    assert facts.key != replace(EXAMPLE, env=like_it).key


@pytest.mark.parametrize("env", ["$HOME", "a/b", "", 'a"b', "x" * 65, "a\nb"])
def test_an_environment_that_grafana_would_take_apart_is_refused(env: str) -> None:
    with pytest.raises(UsageError, match="names of dashboards"):
        replace(EXAMPLE, env=env)


@example([f"{n:03d}".ljust(80, "x") for n in range(60)])
@settings(max_examples=25)
@given(st.lists(st.text("abcdefghij-_", min_size=1, max_size=80), min_size=1, max_size=60, unique=True))
def test_every_queue_is_asked_for_once_in_searches_that_cloudwatch_takes(names: list[str]) -> None:
    asked = [t["dimensions"]["QueueName"] for t in panel(fleet(names), "queues", "Depth")["targets"]]
    assert [name for chunk in asked for name in chunk] == sorted(names)
    for chunk in asked:
        values = " OR ".join(f'"{name}"' for name in chunk)
        search = f"""{{AWS/SQS,"QueueName"}} MetricName="ApproximateNumberOfMessagesVisible" "QueueName"=({values})"""
        assert len(search) <= 1024


def test_a_panel_of_many_queues_keeps_one_name_for_each_query() -> None:
    found = panel(fleet([f"a-queue-with-a-long-name-{n:03d}" for n in range(200)]), "queues", "Scaling")["targets"]
    refs = [t["refId"] for t in found]
    assert len(set(refs)) == len(refs) > 4
    assert {ref[0] for ref in refs} == {"A", "B"}


def test_a_fleet_without_dead_letter_queues_has_an_empty_panel_of_them() -> None:
    facts = replace(EXAMPLE, works=(Work(queue="email", asgs=("workers-email",)),))
    assert panel(facts, "queues", "Dead letters")["targets"] == []


def test_a_queue_that_two_groups_work_on_is_shown_and_watched_once() -> None:
    facts = replace(EXAMPLE, works=(Work(queue="email", asgs=("spot", "on-demand")),))
    assert panel(facts, "queues", "In service")["targets"][0]["dimensions"] == {
        "AutoScalingGroupName": ["on-demand", "spot"]
    }
    [oldest] = [r for r in rules(facts) if r["uid"].endswith("-oldest")]
    assert oldest["labels"]["asg"] == "spot, on-demand"


def test_a_dollar_in_a_groups_name_is_no_variable_of_grafanas_environment() -> None:
    facts = replace(EXAMPLE, works=(Work(queue="email", asgs=("a$HOME",)),), output="s3://acme/$x/")
    assert {r["labels"].get("asg") for r in rules(facts)} == {None, "a$$HOME"}
    assert "outputLocation: s3://acme/$$x/" in render(facts)["datasources/shipit-prod.yaml"]
    assert panel(facts, "queues", "In service")["targets"][0]["dimensions"] == {"AutoScalingGroupName": ["a$HOME"]}


def test_the_queue_to_look_at_is_chosen_from_the_fleets_own() -> None:
    [variable] = boards(render(EXAMPLE))["queues"]["templating"]["list"]
    assert (variable["query"], variable["current"]["value"]) == ("email,reports", "email")


@pytest.mark.parametrize(
    ("heartbeat", "step", "quiet"), [(60.0, 10, 180), (300.0, 10, 660), (600.0, 20, 1260), (7200.0, 60, 14460)]
)
def test_steps_and_silence_follow_the_heartbeat(heartbeat: float, step: int, quiet: int) -> None:
    found = queries(render(replace(EXAMPLE, heartbeat=heartbeat)), NOON)
    assert f"% {step})" in found["versions: Fleet by running build"]
    assert f"INTERVAL '{quiet}' SECOND" in found["versions: Silent, or gone without a word"]


def test_names_of_tables_are_quoted_whatever_they_hold() -> None:
    found = queries(render(replace(EXAMPLE, database='a"b', reports="c d")), NOON)
    assert 'FROM "a""b"."c d"' in found["versions: Drift"]


def test_every_file_is_what_it_says_it_is() -> None:
    for name, text in render(EXAMPLE).items():
        assert json.loads(text) if name.endswith(".json") else yaml.safe_load(text)["apiVersion"] == 1
