"""The engine on a real clock: many clients, many threads, one lock."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sandbox.codedeploy.world import APP, revision

from shipit.sandbox.agents import Rule, ScriptedAgent
from shipit.sandbox.clock import Clock
from shipit.sandbox.codedeploy import CodeDeploy
from shipit.sandbox.wire import JsonService

GROUPS, HOSTS = 60, 5


class Fleet:
    """Have the same number of instances in every Auto Scaling group."""

    def in_service(self, asg: str) -> list[str]:
        return [f"i-{asg}-{n}" for n in range(HOSTS)]


def test_sixty_groups_deployed_from_eight_threads_all_succeed() -> None:
    clock = Clock(factor=600)
    agent = ScriptedAgent(clock, Rule(seconds=5))
    codedeploy = CodeDeploy(clock, Fleet(), agent)
    service = JsonService("codedeploy", codedeploy)

    def call(operation: str, **request: Any) -> Any:
        status, body = service.handle(operation, json.dumps(request).encode())
        assert status == 200, body
        return json.loads(body)

    def deploy(name: str) -> str:
        call(
            "CreateDeploymentGroup",
            applicationName=APP,
            deploymentGroupName=name,
            serviceRoleArn="role",
            autoScalingGroups=[name],
            deploymentConfigName="CodeDeployDefault.HalfAtATime",
        )
        request = {"applicationName": APP, "deploymentGroupName": name, "revision": revision("v1")}
        deployment_id: str = call("CreateDeployment", **request)["deploymentId"]
        return deployment_id

    try:
        call("CreateApplication", applicationName=APP)
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(deploy, (f"g{n}" for n in range(GROUPS))))
        assert len(set(ids)) == GROUPS
        all_ended = threading.Event()

        def look() -> None:
            open_ = call("ListDeployments", includeOnlyStatuses=["Created", "Queued", "InProgress"])["deployments"]
            if open_:
                clock.call_later(10, look)
            else:
                all_ended.set()

        look()
        assert all_ended.wait(30)
        infos = [call("GetDeployment", deploymentId=i)["deploymentInfo"] for i in ids]
        assert {info["status"] for info in infos} == {"Succeeded"}
        assert {info["deploymentOverview"]["Succeeded"] for info in infos} == {HOSTS}
    finally:
        clock.close()
