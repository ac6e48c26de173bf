"""A small AWS for tests of the sandbox's CodeDeploy: a clock that is moved by hand, scripted instances, boto3."""

from __future__ import annotations

import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config

from shipit.sandbox.agents import Command, ScriptedAgent, script_failure
from shipit.sandbox.clock import ManualClock
from shipit.sandbox.codedeploy import CodeDeploy, Limits
from shipit.sandbox.wire import JsonService

APP = "workers"
FAILED = script_failure("start.sh", "[stderr]boom", "exit 1")
PREDEFINED = {
    "all": "CodeDeployDefault.AllAtOnce",
    "half": "CodeDeployDefault.HalfAtATime",
    "one": "CodeDeployDefault.OneAtATime",
}


class Door:
    """Serve whatever service is set, on loopback, to one boto3 client."""

    def __init__(self) -> None:
        door = self
        self.service: JsonService | None = None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body leave in two writes: without this, Nagle's algorithm delays each answer by 40 ms.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                assert door.service is not None
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = door.service.handle(operation, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.client: Any = boto3.client(
            "codedeploy",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def close(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._server.server_close()


class RecordingAgent(ScriptedAgent):
    """Play by rules, remember every command, and break on one instance if told to."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.commands: list[Command] = []
        self.breaks_on = ""

    def run(self, command: Command, done: Any) -> None:
        self.commands.append(command)
        if command.instance_id == self.breaks_on:
            raise RuntimeError("on purpose")
        super().run(command, done)


class World:
    """One application and its groups; each group `x` deploys to the Auto Scaling group `asg-x`."""

    def __init__(self, door: Door, limits: Limits | None = None) -> None:
        self.clock = ManualClock()
        self.agent = RecordingAgent(self.clock)
        self.members: defaultdict[str, list[str]] = defaultdict(list)
        self.launches: list[tuple[str, str, bool]] = []
        self.codedeploy = CodeDeploy(
            self.clock,
            self,
            self.agent,
            limits=limits,
            launch_ended=lambda *launch: self.launches.append(launch),
        )
        self.service = door.service = JsonService("codedeploy", self.codedeploy)
        self.aws = door.client
        self.aws.create_application(applicationName=APP)

    def in_service(self, asg: str) -> list[str]:
        return list(self.members[asg])

    def group(self, hosts: int = 2, name: str = "q", config: str = "all", **options: Any) -> str:
        """Create a group with that many instances, `i-<name>-0` and so on."""
        self.members[f"asg-{name}"] = [f"i-{name}-{n}" for n in range(hosts)]
        self.aws.create_deployment_group(
            applicationName=APP,
            deploymentGroupName=name,
            serviceRoleArn="role",
            autoScalingGroups=[f"asg-{name}"],
            deploymentConfigName=PREDEFINED.get(config, config),
            **options,
        )
        return name

    def deploy(self, build: str = "v1", name: str = "q", **options: Any) -> str:
        """Create a deployment and return its id; time stands still."""
        if options.get("deploymentMode") != "RESTART":
            options["revision"] = revision(build)
        answer = self.aws.create_deployment(applicationName=APP, deploymentGroupName=name, **options)
        deployment_id: str = answer["deploymentId"]
        return deployment_id

    def deployed(self, build: str = "v1", name: str = "q", **options: Any) -> Any:
        """Deploy, let everything happen, and return the deployment."""
        deployment_id = self.deploy(build, name, **options)
        self.clock.run()
        return self.info(deployment_id)

    def info(self, deployment_id: str) -> Any:
        return self.aws.get_deployment(deploymentId=deployment_id)["deploymentInfo"]

    def group_info(self, name: str = "q") -> Any:
        return self.aws.get_deployment_group(applicationName=APP, deploymentGroupName=name)["deploymentGroupInfo"]

    def target(self, deployment_id: str, instance_id: str) -> Any:
        answer = self.aws.get_deployment_target(deploymentId=deployment_id, targetId=instance_id)
        return answer["deploymentTarget"]["instanceTarget"]

    def statuses(self, deployment_id: str, instance_id: str) -> list[str]:
        """Return the statuses of the seven lifecycle events, in order."""
        return [event["status"] for event in self.target(deployment_id, instance_id)["lifecycleEvents"]]

    def newest(self, count: int = 1) -> list[Any]:
        """Return the newest deployments, the last one first."""
        return [self.info(i) for i in self.aws.list_deployments()["deployments"][:count]]

    def started(self, deployment_id: str) -> list[str]:
        """Return the instances in the order in which the deployment reached them."""
        return [
            c.instance_id
            for c in self.agent.commands
            if c.deployment_id == deployment_id and c.event == "ApplicationStop"
        ]


def revision(build: str) -> dict[str, Any]:
    location = {"bucket": "builds", "key": f"{build}.tgz", "bundleType": "tgz", "version": f"id-{build}", "eTag": "e"}
    return {"revisionType": "S3", "s3Location": location}
