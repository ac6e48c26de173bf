"""Instances are taken away, groups grow and shrink, agents die, hooks break, and somebody else deploys: on demand."""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError
from daemons import Sandbox, eventually, small

APPLICATION = {"applicationName": "worker"}
REVISION = {"revisionType": "S3", "s3Location": {"bucket": "some-bucket", "key": "v1.tgz", "bundleType": "tgz"}}
ENDED = ("Succeeded", "Failed", "Stopped")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A daemon on whose clock CodeDeploy's five minutes are a second."""
    sandbox = Sandbox(small(tmp_path_factory.mktemp("fleet"), instances=10, clock=300.0))
    sandbox.ensure()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(daemon: Sandbox) -> Iterator[Sandbox]:
    """A daemon without faults, in which nothing runs."""
    yield daemon
    daemon.control("fault", name="clear")
    codedeploy = daemon.client("codedeploy")
    for one in codedeploy.list_deployments(includeOnlyStatuses=["Created", "Queued", "InProgress"])["deployments"]:
        with contextlib.suppress(codedeploy.exceptions.DeploymentAlreadyCompletedException):
            codedeploy.stop_deployment(deploymentId=one)
    assert daemon.control("faults") == {"in_effect": []}


def fault(sandbox: Sandbox, name: str, **flags: object) -> str:
    return str(sandbox.control("fault", name=name, **flags)["told"])


def refusal(sandbox: Sandbox, name: str, **flags: object) -> str:
    with pytest.raises(HTTPError) as e:
        fault(sandbox, name, **flags)
    assert e.value.code == 400
    return e.value.read().decode()


def members(sandbox: Sandbox, group: str) -> list[str]:
    asg = sandbox.client("autoscaling")
    found = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[f"worker-{group}"])["AutoScalingGroups"][0]
    return [instance["InstanceId"] for instance in found["Instances"]]


def everybody(sandbox: Sandbox) -> set[str]:
    return {*members(sandbox, "email"), *members(sandbox, "reports")}


def end_of(sandbox: Sandbox, instance: str) -> tuple[str, str]:
    """Return the state that EC2 shows, and the code of its reason."""
    found = sandbox.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found["State"]["Name"], found.get("StateReason", {}).get("Code", "")


def create(sandbox: Sandbox, group: str) -> str:
    made = sandbox.client("codedeploy").create_deployment(
        **APPLICATION,
        deploymentGroupName=group,
        revision=REVISION,
        deploymentConfigName="CodeDeployDefault.AllAtOnce",
    )
    return str(made["deploymentId"])


def info(sandbox: Sandbox, deployment: str) -> Any:
    return sandbox.client("codedeploy").get_deployment(deploymentId=deployment)["deploymentInfo"]


def ended(sandbox: Sandbox, deployment: str) -> Any:
    return eventually(lambda: found if (found := info(sandbox, deployment))["status"] in ENDED else None)


def target(sandbox: Sandbox, deployment: str, instance: str) -> Any:
    found = sandbox.client("codedeploy").get_deployment_target(deploymentId=deployment, targetId=instance)
    return found["deploymentTarget"]["instanceTarget"]


def events(sandbox: Sandbox, deployment: str, instance: str) -> dict[str, str]:
    found = target(sandbox, deployment, instance)["lifecycleEvents"]
    return {event["lifecycleEventName"]: event["status"] for event in found}


def diagnostics(sandbox: Sandbox, deployment: str, instance: str, event: str) -> Any:
    found = target(sandbox, deployment, instance)["lifecycleEvents"]
    return next(one["diagnostics"] for one in found if one["lifecycleEventName"] == event)


def test_a_share_is_reclaimed_at_once_ec2_says_by_whom_and_others_are_launched(sandbox: Sandbox) -> None:
    before = everybody(sandbox)
    told = fault(sandbox, "reclaim", share=0.2)
    gone = before - everybody(sandbox)
    assert len(gone) == 2
    assert all(one in told for one in gone)
    assert {end_of(sandbox, one) for one in gone} == {("terminated", "Server.SpotInstanceTermination")}
    assert len(everybody(sandbox)) == len(before)


def test_the_old_request_reclaims_alike(sandbox: Sandbox) -> None:
    victim = members(sandbox, "email")[0]
    sandbox.control("instances/reclaim", ids=[victim])
    assert end_of(sandbox, victim) == ("terminated", "Server.SpotInstanceTermination")


def test_who_leaves_by_a_scaling_policy_is_told_from_a_reclaim(sandbox: Sandbox) -> None:
    before = set(members(sandbox, "reports"))
    fault(sandbox, "scale", group="reports", by=2)
    grown = set(members(sandbox, "reports"))
    assert before < grown
    assert len(grown) == len(before) + 2
    fault(sandbox, "scale", group="reports", by=-2)
    gone = grown - set(members(sandbox, "reports"))
    assert len(gone) == 2
    assert {end_of(sandbox, one) for one in gone} == {("terminated", "Client.UserInitiatedShutdown")}
    assert sandbox.status["instances"] == len(everybody(sandbox))


def test_a_group_grows_and_shrinks_within_its_bounds_only(sandbox: Sandbox) -> None:
    before = members(sandbox, "reports")
    assert "worker-reports has 0 to" in refusal(sandbox, "scale", group="reports", by=1000)
    assert "not -" in refusal(sandbox, "scale", group="reports", by=-1000)
    assert members(sandbox, "reports") == before


def test_an_instance_dies_in_the_middle_of_the_event_and_codedeploy_never_hears_its_end(sandbox: Sandbox) -> None:
    victim = members(sandbox, "email")[0]
    fault(sandbox, "reclaim", ids=[victim], during="Install")
    assert end_of(sandbox, victim)[0] == "running"
    doomed = {"fault": "reclaim", "what": "1 still to end during Install", "struck": 0}
    assert sandbox.control("faults") == {"in_effect": [doomed]}
    deployment = create(sandbox, "email")
    eventually(lambda: victim not in members(sandbox, "email"))
    assert end_of(sandbox, victim) == ("terminated", "Server.SpotInstanceTermination")
    found = events(sandbox, deployment, victim)
    assert (found["BeforeInstall"], found["Install"], found["AfterInstall"]) == ("Succeeded", "InProgress", "Pending")
    assert sandbox.control("faults") == {"in_effect": []}


def test_an_instance_dies_between_two_events_and_the_next_one_lapses(sandbox: Sandbox) -> None:
    victim = members(sandbox, "email")[0]
    fault(sandbox, "reclaim", ids=[victim], between=True)
    deployment = create(sandbox, "email")
    eventually(lambda: victim not in members(sandbox, "email"))
    assert "InProgress" not in events(sandbox, deployment, victim).values()
    assert ended(sandbox, deployment)["deploymentOverview"]["Failed"] == 1
    found = list(events(sandbox, deployment, victim).values())
    assert found.count("Failed") == 1
    assert found[0] == "Succeeded"
    failed = found.index("Failed")
    assert set(found[:failed]) == {"Succeeded"}
    assert set(found[failed + 1 :]) <= {"Skipped"}


def test_two_reclaims_choose_different_instances_and_clear_spares_those_still_alive(sandbox: Sandbox) -> None:
    count = len(everybody(sandbox))
    first = fault(sandbox, "reclaim", share=0.5, during="Install")
    second = fault(sandbox, "reclaim", number=count - count // 2, between=True)
    assert all(one in first + second for one in everybody(sandbox))
    assert "there are 0 instances" in refusal(sandbox, "reclaim", number=1, during="Install")
    fault(sandbox, "clear")
    before = everybody(sandbox)
    assert ended(sandbox, create(sandbox, "email"))["status"] == "Succeeded"
    assert everybody(sandbox) == before


def test_the_same_seed_chooses_the_same_instances(sandbox: Sandbox) -> None:
    def chosen(seed: int) -> str:
        told = fault(sandbox, "reclaim", number=4, during="Install", seed=seed)
        fault(sandbox, "clear")
        return told

    assert chosen(1) == chosen(1) != chosen(2)


def test_unknown_instances_and_groups_are_named_and_nobody_is_touched(sandbox: Sandbox) -> None:
    before = everybody(sandbox)
    known = sorted(before)[0]
    assert "i-unknown" in refusal(sandbox, "reclaim", ids=[known, "i-unknown"])
    assert "did you mean reports?" in refusal(sandbox, "reclaim", group="report", share=1)
    assert "there are 10 instances to choose from" in refusal(sandbox, "agent", number=1000)
    assert everybody(sandbox) == before


def test_the_limit_of_the_account_refuses_without_naming_a_deployment(sandbox: Sandbox) -> None:
    sandbox.control("script", rules=[{"hang": True}])
    try:
        fault(sandbox, "limit", number=1)
        first = create(sandbox, "email")
        with pytest.raises(ClientError, match="DeploymentLimitExceededException") as e:
            create(sandbox, "reports")
        assert "d-" not in e.value.response["Error"]["Message"]
        fault(sandbox, "clear")
        sandbox.client("codedeploy").stop_deployment(deploymentId=create(sandbox, "reports"))
        sandbox.client("codedeploy").stop_deployment(deploymentId=first)
    finally:
        sandbox.control("script", rules=[{"seconds": 1}])
        for group in ("email", "reports"):
            fault(sandbox, "reclaim", group=group)  # whose hooks hang for ever


def test_a_dead_agent_shows_as_nothing_but_skipped_events(sandbox: Sandbox) -> None:
    victim = members(sandbox, "email")[0]
    fault(sandbox, "agent", ids=[victim])
    deployment = create(sandbox, "email")
    found = ended(sandbox, deployment)
    assert (found["status"], found["deploymentOverview"]["Failed"]) == ("Succeeded", 1)
    assert set(events(sandbox, deployment, victim).values()) == {"Skipped"}
    assert end_of(sandbox, victim)[0] == "running"
    fault(sandbox, "clear")
    assert ended(sandbox, create(sandbox, "email"))["deploymentOverview"]["Failed"] == 0


def test_the_agents_of_a_whole_group_are_dead_and_the_group_fails(sandbox: Sandbox) -> None:
    fault(sandbox, "agent", group="rep*")
    assert ended(sandbox, create(sandbox, "reports"))["status"] == "Failed"
    assert ended(sandbox, create(sandbox, "email"))["status"] == "Succeeded"


@pytest.mark.parametrize(("how", "tail"), [("exit", "told to let"), ("flood", "flood: x")])
def test_a_scripted_hook_fails_with_its_status_and_a_tail(sandbox: Sandbox, how: str, tail: str) -> None:
    victim = members(sandbox, "email")[0]
    fault(sandbox, "hook", event="AfterInstall", how=how, status=7, ids=[victim])
    deployment = create(sandbox, "email")
    assert ended(sandbox, deployment)["deploymentOverview"]["Failed"] == 1
    found = diagnostics(sandbox, deployment, victim, "AfterInstall")
    assert found["errorCode"] == "ScriptFailed"
    assert "exit code 7" in found["message"]
    assert tail in found["logTail"]
    assert len(found["logTail"]) <= 2048


def test_a_scripted_flood_that_exits_0_succeeds(sandbox: Sandbox) -> None:
    fault(sandbox, "hook", event="AfterInstall", how="flood", status=0)
    assert ended(sandbox, create(sandbox, "email"))["status"] == "Succeeded"


@pytest.mark.parametrize("how", ["hang", "child"])
def test_a_scripted_hook_that_never_ends_holds_its_event_and_others_go_on(sandbox: Sandbox, how: str) -> None:
    victim = members(sandbox, "email")[0]
    fault(sandbox, "hook", event="ApplicationStart", how=how, ids=[victim])
    deployment = create(sandbox, "email")
    others = len(members(sandbox, "email")) - 1
    eventually(lambda: info(sandbox, deployment).get("deploymentOverview", {}).get("Succeeded") == others)
    assert info(sandbox, deployment)["status"] == "InProgress"
    assert events(sandbox, deployment, victim)["ApplicationStart"] == "InProgress"
    fault(sandbox, "reclaim", ids=[victim])


def test_a_scripted_hook_that_is_slow_ends_as_it_would_have(sandbox: Sandbox) -> None:
    fault(sandbox, "hook", event="AfterInstall", how="slow", seconds=60, group="email")
    deployment = create(sandbox, "email")
    assert ended(sandbox, deployment)["status"] == "Succeeded"
    found = target(sandbox, deployment, members(sandbox, "email")[0])["lifecycleEvents"]
    took = {one["lifecycleEventName"]: (one["endTime"] - one["startTime"]).total_seconds() for one in found}
    assert took["AfterInstall"] >= 60 > took["BeforeInstall"]


def test_somebody_elses_deployment_holds_the_group_and_then_ends(sandbox: Sandbox) -> None:
    assert ended(sandbox, create(sandbox, "reports"))["status"] == "Succeeded"
    fault(sandbox, "busy", group="reports", seconds=600)
    with pytest.raises(ClientError, match="already has an active Deployment 'd-") as e:
        create(sandbox, "reports")
    holder = e.value.response["Error"]["Message"].split("'")[-2]
    found = info(sandbox, holder)
    assert (found["creator"], found["description"]) == ("user", "hotfix by hand, by somebody else")
    assert "already has an active" in refusal(sandbox, "busy", group="reports", seconds=1)
    assert ended(sandbox, holder)["status"] == "Succeeded"
    assert ended(sandbox, create(sandbox, "reports"))["status"] == "Succeeded"


def test_clear_ends_somebody_elses_deployment_and_the_group_is_free(sandbox: Sandbox) -> None:
    fault(sandbox, "busy", group="*", seconds=3000)
    (row, _) = sandbox.control("faults")["in_effect"]
    holder = row["what"].split()[-1]
    fault(sandbox, "clear")
    assert ended(sandbox, holder)["status"] == "Stopped"
    for group in ("email", "reports"):
        assert ended(sandbox, create(sandbox, group))["status"] == "Succeeded"


def test_a_group_that_never_ran_anything_is_busy_too_and_runs_nothing_after(tmp_path_factory: Any) -> None:
    sandbox = Sandbox(small(tmp_path_factory.mktemp("new"), clock=60.0))
    sandbox.ensure()
    try:
        fault(sandbox, "busy", group="email", seconds=20)
        holder = sandbox.client("codedeploy").list_deployments()["deployments"][0]
        assert ended(sandbox, holder)["status"] == "Stopped"
        group = sandbox.client("codedeploy").get_deployment_group(**APPLICATION, deploymentGroupName="email")
        assert "targetRevision" not in group["deploymentGroupInfo"]
    finally:
        sandbox.stop()


def test_a_reclaim_with_a_notice_lets_the_instance_live_until_then(sandbox: Sandbox) -> None:
    [victim, *_] = members(sandbox, "email")
    assert f"1 in 0.5 s: {victim}" in fault(sandbox, "reclaim", ids=[victim], notice=0.5)
    assert victim in members(sandbox, "email")
    eventually(lambda: victim not in members(sandbox, "email"))
    assert end_of(sandbox, victim)[1] == "Server.SpotInstanceTermination"


def test_a_kill_among_scripted_workers_finds_no_process(sandbox: Sandbox) -> None:
    assert fault(sandbox, "kill", number=2, group="email").startswith("kill: 0 on i-")
