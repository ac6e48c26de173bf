"""Applications, revisions, groups, configurations and targets: what they keep, and what they refuse."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sandbox.codedeploy.world import APP, Door, World, revision

from shipit.sandbox.agents import Rule


def code_of(call: Callable[..., Any], **request: Any) -> str:
    """Return the error code that the call is refused with."""
    with pytest.raises(ClientError) as error:
        call(**request)
    code: str = error.value.response["Error"]["Code"]
    return code


def test_an_application_is_created_shown_listed_and_deleted_once(world: World) -> None:
    assert code_of(world.aws.create_application, applicationName=APP) == "ApplicationAlreadyExistsException"
    assert world.aws.get_application(applicationName=APP)["application"]["computePlatform"] == "Server"
    assert world.aws.list_applications()["applications"] == [APP]
    infos = world.aws.batch_get_applications(applicationNames=[APP])["applicationsInfo"]
    assert [info["applicationName"] for info in infos] == [APP]
    for _ in range(2):
        world.aws.delete_application(applicationName=APP)
    assert code_of(world.aws.get_application, applicationName=APP) == "ApplicationDoesNotExistException"


def test_other_compute_platforms_are_refused(world: World) -> None:
    for platform in ("Lambda", "ECS"):
        code = code_of(world.aws.create_application, applicationName="x", computePlatform=platform)
        assert code == "InvalidComputePlatformException"


def test_a_group_names_its_hook_its_revision_and_its_last_deployments(world: World) -> None:
    world.group()
    empty = world.group_info()
    assert "lastSuccessfulDeployment" not in empty
    hook = empty["autoScalingGroups"][0]
    assert hook["name"] == "asg-q"
    assert re.fullmatch(r"CodeDeploy-managed-automatic-launch-deployment-hook-q-[0-9a-f-]{36}", hook["hook"])
    assert (empty["outdatedInstancesStrategy"], empty["deploymentConfigName"]) == (
        "UPDATE",
        "CodeDeployDefault.AllAtOnce",
    )
    good = world.deployed("v1")
    running = world.deploy("v2")
    info = world.group_info()
    assert info["targetRevision"] == revision("v1")
    assert info["lastSuccessfulDeployment"]["deploymentId"] == good["deploymentId"]
    assert info["lastAttemptedDeployment"]["deploymentId"] == running
    assert "endTime" not in info["lastAttemptedDeployment"]


def test_an_update_changes_what_it_names_and_keeps_the_hook(world: World) -> None:
    world.group()
    before = world.group_info()
    world.aws.update_deployment_group(
        applicationName=APP,
        currentDeploymentGroupName="q",
        newDeploymentGroupName="r",
        outdatedInstancesStrategy="IGNORE",
        autoScalingGroups=["asg-q", "asg-other"],
        triggerConfigurations=[
            {"triggerName": "t", "triggerTargetArn": "arn", "triggerEvents": ["DeploymentFailure"]}
        ],
    )
    after = world.group_info("r")
    assert after["deploymentGroupId"] == before["deploymentGroupId"]
    assert after["autoScalingGroups"][0] == before["autoScalingGroups"][0]
    assert "hook-r-" in after["autoScalingGroups"][1]["hook"]
    assert (after["outdatedInstancesStrategy"], after["triggerConfigurations"][0]["triggerName"]) == ("IGNORE", "t")
    assert world.aws.list_deployment_groups(applicationName=APP)["deploymentGroups"] == ["r"]
    get = world.aws.get_deployment_group
    assert code_of(get, applicationName=APP, deploymentGroupName="q") == "DeploymentGroupDoesNotExistException"


def test_a_refused_update_changes_nothing(world: World) -> None:
    world.group()
    before = world.group_info()
    code = code_of(
        world.aws.update_deployment_group,
        applicationName=APP,
        currentDeploymentGroupName="q",
        autoScalingGroups=["other"],
        deploymentConfigName="none",
    )
    assert code == "DeploymentConfigDoesNotExistException"
    assert world.group_info() == before


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"deploymentConfigName": "none"}, "DeploymentConfigDoesNotExistException"),
        ({"autoScalingGroups": [f"a{n}" for n in range(11)]}, "InvalidAutoScalingGroupException"),
        ({"ec2TagFilters": [{"Key": "k", "Type": "KEY_ONLY"}]}, "InvalidInputException"),
        (
            {"deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}},
            "InvalidDeploymentStyleException",
        ),
        ({"deploymentGroupName": "q"}, "DeploymentGroupAlreadyExistsException"),
        ({"applicationName": "none"}, "ApplicationDoesNotExistException"),
    ],
)
def test_a_group_that_cannot_be_is_refused_by_name(world: World, options: dict[str, Any], code: str) -> None:
    world.group()
    good = {"applicationName": APP, "deploymentGroupName": "new", "serviceRoleArn": "role"}
    assert code_of(world.aws.create_deployment_group, **good | options) == code
    assert world.aws.list_deployment_groups(applicationName=APP)["deploymentGroups"] == ["q"]


def test_a_whole_fleet_of_groups_comes_in_batches_of_a_hundred(world: World) -> None:
    names = sorted(world.group(1, f"q{n:03}") for n in range(101))
    pages = world.aws.get_paginator("list_deployment_groups").paginate(applicationName=APP)
    assert [name for page in pages for name in page["deploymentGroups"]] == names
    batch = world.aws.batch_get_deployment_groups
    infos = batch(applicationName=APP, deploymentGroupNames=[*names[:99], "none"])
    assert len(infos["deploymentGroupsInfo"]) == 99
    assert "none" in infos["errorMessage"]
    assert code_of(batch, applicationName=APP, deploymentGroupNames=names) == "BatchLimitExceededException"


def test_a_deleted_group_fails_what_runs_in_it(world: World) -> None:
    world.group()
    deployment_id = world.deploy()
    world.clock.advance(3)
    world.aws.delete_deployment_group(applicationName=APP, deploymentGroupName="q")
    world.clock.run()
    info = world.info(deployment_id)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "DEPLOYMENT_GROUP_MISSING")
    world.aws.delete_deployment_group(applicationName=APP, deploymentGroupName="q")


def test_the_predefined_configurations_are_there_and_stay(world: World) -> None:
    names = world.aws.list_deployment_configs()["deploymentConfigsList"]
    assert names == [f"CodeDeployDefault.{name}" for name in ("AllAtOnce", "HalfAtATime", "OneAtATime")]
    half = world.aws.get_deployment_config(deploymentConfigName=names[1])["deploymentConfigInfo"]
    assert half["minimumHealthyHosts"] == {"type": "FLEET_PERCENT", "value": 50}
    assert code_of(world.aws.delete_deployment_config, deploymentConfigName=names[0]) == "InvalidOperationException"


def test_a_configuration_of_one_s_own_decides_the_slots(world: World) -> None:
    hosts = {"type": "HOST_COUNT", "value": 7}
    world.aws.create_deployment_config(deploymentConfigName="seven", minimumHealthyHosts=hosts)
    world.group(10, config="seven")
    deployment_id = world.deploy()
    world.clock.advance(2)
    assert world.info(deployment_id)["deploymentOverview"]["InProgress"] == 3
    delete = world.aws.delete_deployment_config
    assert code_of(delete, deploymentConfigName="seven") == "DeploymentConfigInUseException"
    world.aws.delete_deployment_group(applicationName=APP, deploymentGroupName="q")
    delete(deploymentConfigName="seven")
    get = world.aws.get_deployment_config
    assert code_of(get, deploymentConfigName="seven") == "DeploymentConfigDoesNotExistException"


@pytest.mark.parametrize(
    "hosts",
    [None, {"type": "FLEET_PERCENT", "value": 101}, {"type": "HOST_COUNT", "value": -1}, {"value": 1}],
)
def test_a_minimum_that_makes_no_sense_is_refused(world: World, hosts: Any) -> None:
    options = {"minimumHealthyHosts": hosts} if hosts else {}
    code = code_of(world.aws.create_deployment_config, deploymentConfigName="x", **options)
    assert code == "InvalidMinimumHealthyHostValueException"


def test_revisions_are_registered_listed_and_joined_with_the_groups_that_run_them(world: World) -> None:
    world.group(1)
    for build in ("v1", "v2"):
        world.aws.register_application_revision(
            applicationName=APP, revision=revision(build), description=f"build {build}"
        )
        world.clock.advance(1)
    world.deployed("v1")
    info = world.aws.get_application_revision(applicationName=APP, revision=revision("v1"))["revisionInfo"]
    assert (info["description"], info["deploymentGroups"]) == ("build v1", ["q"])
    assert info["registerTime"] < info["firstUsedTime"]

    def listed(**filters: Any) -> list[str]:
        found = world.aws.list_application_revisions(applicationName=APP, **filters)["revisions"]
        return [location["s3Location"]["key"] for location in found]

    assert listed(sortBy="registerTime", sortOrder="descending") == ["v2.tgz", "v1.tgz"]
    assert listed(deployed="include") == ["v1.tgz"]
    assert listed(deployed="exclude") == ["v2.tgz"]
    assert listed(s3Bucket="builds", s3KeyPrefix="v2") == ["v2.tgz"]
    assert listed(s3Bucket="other") == []
    batch = world.aws.batch_get_application_revisions(applicationName=APP, revisions=[revision("v2"), revision("v9")])
    assert len(batch["revisions"]) == 1


def test_revisions_are_refused_by_name(world: World) -> None:
    get, listing = world.aws.get_application_revision, world.aws.list_application_revisions
    assert code_of(get, applicationName=APP, revision=revision("v9")) == "RevisionDoesNotExistException"
    assert code_of(listing, applicationName=APP, s3KeyPrefix="v") == "BucketNameFilterRequiredException"


def test_targets_are_there_from_the_start_on_and_not_before(world: World) -> None:
    world.group(2)
    deployment_id = world.deploy()
    for _ in range(2):
        code = code_of(world.aws.list_deployment_targets, deploymentId=deployment_id)
        assert code == "DeploymentNotStartedException"
        world.clock.advance(0.5)
    assert world.aws.list_deployment_targets(deploymentId=deployment_id)["targetIds"] == ["i-q-0", "i-q-1"]


def test_targets_come_in_batches_of_25_and_by_status(world: World) -> None:
    world.group(26)
    world.agent.script(Rule(instance_id="i-q-3", outcome=None))
    deployment_id = world.deploy()
    world.clock.advance(60)
    ids = world.aws.list_deployment_targets(deploymentId=deployment_id)["targetIds"]
    slow = world.aws.list_deployment_targets(
        deploymentId=deployment_id, targetFilters={"TargetStatus": ["InProgress"]}
    )
    assert (len(ids), slow["targetIds"]) == (26, ["i-q-3"])
    batch = world.aws.batch_get_deployment_targets
    assert len(batch(deploymentId=deployment_id, targetIds=ids[:25])["deploymentTargets"]) == 25
    assert code_of(batch, deploymentId=deployment_id, targetIds=ids) == "DeploymentTargetListSizeExceededException"
    code = code_of(batch, deploymentId=deployment_id, targetIds=["i-none"])
    assert code == "DeploymentTargetDoesNotExistException"
    code = code_of(
        world.aws.list_deployment_targets,
        deploymentId=deployment_id,
        targetFilters={"ServerInstanceLabel": ["Blue"]},
    )
    assert code == "InvalidTargetFilterNameException"


def test_the_older_instance_operations_tell_the_same(world: World) -> None:
    world.group(1)
    deployment_id = world.deployed()["deploymentId"]
    assert world.aws.list_deployment_instances(deploymentId=deployment_id)["instancesList"] == ["i-q-0"]
    get = world.aws.get_deployment_instance
    summary = get(deploymentId=deployment_id, instanceId="i-q-0")["instanceSummary"]
    assert summary["instanceId"] == "arn:aws:ec2:us-east-1:123456789012:instance/i-q-0"
    assert summary["lifecycleEvents"] == world.target(deployment_id, "i-q-0")["lifecycleEvents"]
    batch = world.aws.batch_get_deployment_instances
    assert batch(deploymentId=deployment_id, instanceIds=[summary["instanceId"]])["instancesSummary"] == [summary]
    assert code_of(get, deploymentId=deployment_id, instanceId="i-none") == "InstanceDoesNotExistException"


def test_a_throttled_client_hears_it_by_name(world: World, door: Door) -> None:
    world.service.throttle.limit(probability=1)
    assert code_of(door.client.list_deployments) == "ThrottlingException"
    world.service.throttle.limit()
    assert world.newest() == []
