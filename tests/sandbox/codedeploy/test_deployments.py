"""A deployment's life as a client sees it: slots, verdicts, refusals, stops, lists."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sandbox.codedeploy.world import APP, FAILED, Door, World, revision

from shipit.sandbox.agents import LIFECYCLE, Rule
from shipit.sandbox.codedeploy import Limits


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    answer = error.value.response["Error"]
    return answer["Code"], answer["Message"]


def test_a_deployment_walks_from_created_to_succeeded(world: World) -> None:
    world.group(3)
    deployment_id = world.deploy(description="rollout r-1 build v1")
    walk = [world.info(deployment_id)["status"]]
    for seconds in (0.5, 0.5, 60):
        world.clock.advance(seconds)
        walk.append(world.info(deployment_id)["status"])
    assert walk == ["Created", "Queued", "InProgress", "Succeeded"]
    info = world.info(deployment_id)
    assert info["deploymentOverview"]["Succeeded"] == 3
    assert (info["description"], info["creator"]) == ("rollout r-1 build v1", "user")
    assert info["revision"] == revision("v1")
    assert info["createTime"] < info["startTime"] < info["completeTime"]
    assert "externalId" not in info
    assert "errorInformation" not in info


def test_an_instance_runs_the_seven_events_in_order_and_a_success_keeps_no_log(world: World) -> None:
    world.group(1)
    info = world.deployed()
    events = world.target(info["deploymentId"], "i-q-0")["lifecycleEvents"]
    assert tuple(event["lifecycleEventName"] for event in events) == LIFECYCLE
    assert tuple(command.event for command in world.agent.commands) == LIFECYCLE
    assert all(e["diagnostics"]["logTail"] == "" and e["diagnostics"]["errorCode"] == "Success" for e in events)
    assert all(a["endTime"] <= b["startTime"] for a, b in pairwise(events))
    command = world.agent.commands[0]
    assert (command.application, command.group, command.bundle_type) == (APP, "q", "tgz")
    assert (command.revision.version_id, command.revision.etag) == ("id-v1", "e")
    assert command.group_id == world.group_info()["deploymentGroupId"]


def test_a_failed_event_tells_why_and_skips_the_rest(world: World) -> None:
    world.group(2)
    world.agent.script(Rule(instance_id="i-q-1", event="ApplicationStart", outcome=FAILED))
    info = world.deployed()
    assert info["status"] == "Succeeded", "AllAtOnce is content with one success"
    overview = info["deploymentOverview"]
    assert (overview["Succeeded"], overview["Failed"]) == (1, 1)
    target = world.target(info["deploymentId"], "i-q-1")
    assert target["status"] == "Failed"
    assert world.statuses(info["deploymentId"], "i-q-1") == ["Succeeded"] * 5 + ["Failed", "Skipped"]
    assert target["lifecycleEvents"][5]["diagnostics"] == {
        "errorCode": "ScriptFailed",
        "scriptName": "start.sh",
        "message": "exit 1",
        "logTail": "[stderr]boom",
    }


def test_all_at_once_fails_when_nobody_succeeds(world: World) -> None:
    world.group(3)
    world.agent.script(Rule(outcome=FAILED))
    info = world.deployed()
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HEALTH_CONSTRAINTS")
    assert "lastSuccessfulDeployment" not in world.group_info()


def test_half_at_a_time_takes_four_of_nine_then_the_others(world: World) -> None:
    world.group(9, config="half")
    deployment_id = world.deploy()
    world.clock.advance(2)
    overview = world.info(deployment_id)["deploymentOverview"]
    assert (overview["InProgress"], overview["Pending"]) == (4, 5)
    world.clock.run()
    assert world.info(deployment_id)["deploymentOverview"]["Succeeded"] == 9


@pytest.mark.parametrize("hosts", [1, 0])
def test_half_at_a_time_has_no_slot_for_a_single_instance_and_nothing_to_do_for_none(
    world: World, hosts: int
) -> None:
    world.group(hosts, config="half")
    info = world.deployed()
    code = "HEALTH_CONSTRAINTS" if hosts else "NO_INSTANCES"
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", code)
    assert info["deploymentOverview"]["Skipped"] == hosts
    assert world.agent.commands == []


def test_one_at_a_time_forgives_the_last_instance_only(world: World) -> None:
    world.group(3, config="one")
    world.agent.script(Rule(instance_id="i-q-2", event="Install", outcome=FAILED))
    info = world.deployed()
    assert (info["status"], info["deploymentOverview"]["Failed"]) == ("Succeeded", 1)
    world.agent.clear()
    world.agent.script(Rule(instance_id="i-q-0", event="Install", outcome=FAILED))
    info = world.deployed("v2")
    assert info["status"] == "Failed"
    overview = info["deploymentOverview"]
    assert (overview["Succeeded"], overview["Failed"], overview["Skipped"]) == (1, 1, 1)


def test_instances_come_unhealthy_first_then_unknown_then_old_then_current(world: World) -> None:
    world.group(4)
    world.members["asg-q"] = ["i-q-0", "i-q-1", "i-q-2"]
    world.deployed("v1")
    world.members["asg-q"] = ["i-q-0", "i-q-1"]
    world.agent.script(Rule(instance_id="i-q-1", outcome=FAILED))
    world.deployed("v2")
    world.agent.clear()
    world.members["asg-q"] = ["i-q-0", "i-q-1", "i-q-2", "i-q-3"]
    info = world.deployed("v2", deploymentConfigName="CodeDeployDefault.OneAtATime")
    assert world.started(info["deploymentId"]) == ["i-q-1", "i-q-3", "i-q-2", "i-q-0"]


def test_only_outdated_instances_are_updated_where_that_is_asked(world: World) -> None:
    world.group(3)
    world.agent.script(Rule(instance_id="i-q-1", event="ValidateService", outcome=FAILED))
    world.deployed("v1")
    world.agent.clear()
    info = world.deployed(
        "v1", updateOutdatedInstancesOnly=True, deploymentConfigName="CodeDeployDefault.HalfAtATime"
    )
    assert (info["status"], world.started(info["deploymentId"])) == ("Succeeded", ["i-q-1"])
    again = world.deployed("v1", updateOutdatedInstancesOnly=True)
    assert again["errorInformation"]["code"] == "NO_INSTANCES"


def test_a_failed_application_stop_is_forgiven_only_on_request(world: World) -> None:
    world.group(1)
    world.agent.script(Rule(event="ApplicationStop", outcome=FAILED))
    assert world.deployed()["status"] == "Failed"
    info = world.deployed(ignoreApplicationStopFailures=True)
    assert info["status"] == "Succeeded"
    assert world.statuses(info["deploymentId"], "i-q-0") == ["Failed"] + ["Succeeded"] * 6


def test_a_busy_group_names_its_holder_and_a_full_account_does_not(door: Door) -> None:
    world = World(door, Limits(active=2))
    for name in "abc":
        world.group(1, name)
    holder = world.deploy(name="a")
    with pytest.raises(ClientError) as busy:
        world.deploy(name="a")
    message = f"The Deployment Group 'a' already has an active Deployment '{holder}'"
    assert refused(busy) == ("DeploymentLimitExceededException", message)
    world.deploy(name="b")
    with pytest.raises(ClientError) as full:
        world.deploy(name="c")
    assert refused(full)[0] == "DeploymentLimitExceededException"
    assert "d-" not in refused(full)[1]
    world.clock.run()
    assert world.deployed(name="c")["status"] == "Succeeded"


def test_a_stop_lets_the_running_hook_end_and_skips_the_rest(world: World) -> None:
    world.group(2, config="one")
    deployment_id = world.deploy()
    world.clock.advance(3.5)  # in the third event of the first instance
    assert world.aws.stop_deployment(deploymentId=deployment_id)["status"] == "Pending"
    info = world.info(deployment_id)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
    assert (info["deploymentOverview"]["InProgress"], info["deploymentOverview"]["Skipped"]) == (1, 1)
    with pytest.raises(ClientError) as again:
        world.aws.stop_deployment(deploymentId=deployment_id)
    assert refused(again)[0] == "DeploymentAlreadyCompletedException"
    world.clock.run()
    assert world.statuses(deployment_id, "i-q-0") == ["Succeeded"] * 3 + ["Skipped"] * 4
    assert world.info(deployment_id)["deploymentOverview"]["Skipped"] == 2
    assert world.deployed("v2")["status"] == "Succeeded"


def test_a_stop_before_anything_runs_is_done_at_once(world: World) -> None:
    world.group(1)
    deployment_id = world.deploy()
    assert world.aws.stop_deployment(deploymentId=deployment_id)["status"] == "Succeeded"
    world.clock.run()
    assert world.info(deployment_id)["status"] == "Stopped"
    assert world.agent.commands == []


def test_the_next_deployment_waits_for_the_hook_that_a_stop_left_running(world: World) -> None:
    world.group(1)
    world.agent.script(Rule(event="BeforeInstall", seconds=120))
    stopped = world.deploy("v1")
    world.clock.advance(10)
    world.aws.stop_deployment(deploymentId=stopped)
    world.agent.clear()
    following = world.deploy("v2")
    world.clock.advance(60)
    assert world.started(following) == []
    world.clock.run()
    assert world.info(following)["status"] == "Succeeded"


def test_a_restart_takes_the_last_successful_revision_and_no_other(world: World) -> None:
    world.group(1)
    with pytest.raises(ClientError) as nothing:
        world.deploy(deploymentMode="RESTART")
    assert refused(nothing)[0] == "RevisionRequiredException"
    world.deployed("v1")
    info = world.deployed(deploymentMode="RESTART")
    assert (info["deploymentMode"], info["revision"], info["status"]) == ("RESTART", revision("v1"), "Succeeded")
    for extra in ({"revision": revision("v2")}, {"updateOutdatedInstancesOnly": True}):
        with pytest.raises(ClientError) as error:
            world.aws.create_deployment(
                applicationName=APP, deploymentGroupName="q", deploymentMode="RESTART", **extra
            )
        assert refused(error)[0] == "InvalidInputException"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"description": "x" * 257}, "DescriptionTooLongException"),
        ({"deploymentConfigName": "none"}, "DeploymentConfigDoesNotExistException"),
        ({"deploymentGroupName": "none"}, "DeploymentGroupDoesNotExistException"),
        ({"applicationName": "none"}, "ApplicationDoesNotExistException"),
        ({"revision": {"revisionType": "S3"}}, "InvalidRevisionException"),
        ({"revision": {"revisionType": "S3", "s3Location": {"bucket": "b"}}}, "InvalidRevisionException"),
        ({"revision": {"revisionType": "GitHub", "gitHubLocation": {}}}, "InvalidRevisionException"),
        ({"revision": {}}, "RevisionRequiredException"),
        ({"autoRollbackConfiguration": {"enabled": True}}, "InvalidAutoRollbackConfigException"),
        ({"targetInstances": {"autoScalingGroups": ["x"]}}, "InvalidInputException"),
    ],
)
def test_a_bad_order_is_refused_by_name_and_leaves_the_group_free(
    world: World, options: dict[str, Any], code: str
) -> None:
    world.group()
    good = {"applicationName": APP, "deploymentGroupName": "q", "revision": revision("v1")}
    with pytest.raises(ClientError) as error:
        world.aws.create_deployment(**good | options)
    assert refused(error)[0] == code
    assert world.deployed(description="x" * 256)["status"] == "Succeeded"


def test_a_group_must_be_named(world: World) -> None:
    with pytest.raises(ClientError) as error:
        world.aws.create_deployment(applicationName=APP, revision=revision("v1"))
    assert refused(error)[0] == "DeploymentGroupNameRequiredException"


def test_batches_hold_25_and_leave_unknown_ids_out(world: World) -> None:
    world.group()
    deployment_id = world.deploy()
    infos = world.aws.batch_get_deployments(deploymentIds=["d-UNKNOWN00", deployment_id])["deploymentsInfo"]
    assert [info["deploymentId"] for info in infos] == [deployment_id]
    with pytest.raises(ClientError) as error:
        world.aws.batch_get_deployments(deploymentIds=["d-1"] * 26)
    assert refused(error)[0] == "BatchLimitExceededException"


def test_lists_come_newest_first_in_pages_that_new_deployments_do_not_shift(world: World) -> None:
    ids = []
    world.group(0)
    for _ in range(105):
        ids.append(world.deploy())
        world.clock.run()
    first = world.aws.list_deployments(applicationName=APP, deploymentGroupName="q")
    world.deployed()
    second = world.aws.list_deployments(applicationName=APP, deploymentGroupName="q", nextToken=first["nextToken"])
    assert first["deployments"] + second["deployments"] == ids[::-1]
    assert "nextToken" not in second
    paginator = world.aws.get_paginator("list_deployments")
    assert sum(len(page["deployments"]) for page in paginator.paginate()) == 106


@pytest.mark.parametrize("token", ["nonsense", "ZC0wMDAwMDAwMDA=", "é"])
def test_a_token_of_another_list_is_refused(world: World, token: str) -> None:
    with pytest.raises(ClientError) as error:
        world.aws.list_deployments(nextToken=token)
    assert refused(error)[0] == "InvalidNextTokenException"


def test_lists_filter_by_group_status_and_time(world: World) -> None:
    for name in "ab":
        world.group(1, name)
    old = world.deployed(name="a")
    world.clock.advance(1000)
    edge = datetime.fromtimestamp(world.clock.now(), UTC)
    new = world.deploy(name="b")

    def listed(**filters: Any) -> list[str]:
        ids: list[str] = world.aws.list_deployments(**filters)["deployments"]
        return ids

    assert listed(applicationName=APP, deploymentGroupName="a") == [old["deploymentId"]]
    assert listed(includeOnlyStatuses=["Created", "Failed"]) == [new]
    assert listed(createTimeRange={"start": edge}) == [new]
    assert listed() == [new, old["deploymentId"]]


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"applicationName": APP}, "DeploymentGroupNameRequiredException"),
        ({"deploymentGroupName": "q"}, "ApplicationNameRequiredException"),
        ({"createTimeRange": {"start": 2, "end": 1}}, "InvalidTimeRangeException"),
    ],
)
def test_a_list_needs_application_and_group_together_and_a_range_in_order(
    world: World, filters: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as error:
        world.aws.list_deployments(**filters)
    assert refused(error)[0] == code


def test_to_continue_is_for_blue_green_only(world: World) -> None:
    world.group()
    with pytest.raises(ClientError) as error:
        world.aws.continue_deployment(deploymentId=world.deploy())
    assert refused(error)[0] == "UnsupportedActionForDeploymentTypeException"


@pytest.mark.parametrize("operation", ["get_deployment", "stop_deployment", "list_deployment_targets"])
def test_an_unknown_deployment_does_not_exist(world: World, operation: str) -> None:
    with pytest.raises(ClientError) as error:
        getattr(world.aws, operation)(deploymentId="d-000000000")
    assert refused(error)[0] == "DeploymentDoesNotExistException"
