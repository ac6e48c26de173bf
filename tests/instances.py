"""Bundles made of a dict, and an agent with one instance, driven event by event."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from shipit.models import EventStatus, Revision
from shipit.sandbox.agents import LIFECYCLE, Command, Outcome
from shipit.sandbox.instance.agent import ProcessAgent
from shipit.sandbox.instance.facts import InstanceFacts
from shipit.sandbox.instance.folders import InstanceFolder

ID = "i-0123456789abcdef0"
GROUP_ID = "6f5d3c1a-0000-4000-8000-000000000001"

FACTS = InstanceFacts(
    id=ID,
    asg="worker-reports",
    queue="reports",
    az="us-east-1a",
    lifecycle="spot",
    region="us-east-1",
    reports="s3://bucket/sandbox/reports/v1",
)


def tgz(files: Mapping[str, str], *, mode: int = 0o755, compression: str = "gz") -> bytes:
    """Pack files, name to content, all with the same mode."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content.encode()), mode
            archive.addfile(info, io.BytesIO(content.encode()))
    content = buffer.getvalue()
    # Without the time of day in gzip's header: such bytes name tests, which all workers must collect alike.
    return content[:4] + bytes(4) + content[8:] if compression == "gz" else content


def bundle(**hooks: str) -> bytes:
    """Pack an appspec that installs all to /opt/app, and one script of `sh` for each hook named."""
    lines = ["version: 0.0", "os: linux", "files:", "  - {source: /, destination: /opt/app}", "hooks:"]
    lines += [f"  {event}: [{{location: {event}.sh, timeout: 1}}]" for event in hooks] or ["  {}"]
    scripts = {f"{event}.sh": f"#!/bin/sh\n{text}\n" for event, text in hooks.items()}
    return tgz({"appspec.yml": "\n".join(lines), **scripts})


@dataclass
class Driver:
    """Drive the agent of one instance; `bundles` is what S3 holds."""

    agent: ProcessAgent
    folder: InstanceFolder
    bundles: dict[str, bytes] = field(default_factory=dict)

    def start(self, event: str, deployment: str) -> tuple[threading.Event, list[Outcome]]:
        """Start one event of a deployment, whose bundle is the one of the same name."""
        ended, outcomes = threading.Event(), list[Outcome]()

        def done(outcome: Outcome) -> None:
            outcomes.append(outcome)
            ended.set()

        self.agent.run(command(event, deployment), done)
        return ended, outcomes

    def run(self, event: str, deployment: str = "d-1") -> Outcome:
        """Run one event to its end."""
        ended, outcomes = self.start(event, deployment)
        assert ended.wait(30)
        return outcomes[0]

    def deploy(self, content: bytes, deployment: str = "d-1") -> Outcome:
        """Run all events until one fails; return the last outcome."""
        self.bundles[deployment] = content
        for event in LIFECYCLE:
            outcome = self.run(event, deployment)
            if outcome.status is EventStatus.FAILED:
                break
        return outcome

    def hook(self, script: str) -> Outcome:
        """Deploy a bundle with this one hook, and return how it went."""
        return self.deploy(bundle(BeforeInstall=script))

    def log(self, deployment: str = "d-1") -> str:
        """Read the log of a deployment's scripts."""
        return self.folder.revision(GROUP_ID, deployment).log.read_text()


def command(event: str, deployment: str = "d-1") -> Command:
    """Order an event of a deployment."""
    return Command(
        instance_id=ID,
        event=event,
        deployment_id=deployment,
        deployment_creator="user",
        application="worker",
        group="reports",
        group_id=GROUP_ID,
        revision=Revision(bucket="bucket", key=deployment, version_id="v1", etag="e1"),
        bundle_type="tgz",
        file_exists_behavior="DISALLOW",
    )
