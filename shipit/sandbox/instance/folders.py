"""Where an instance keeps what: its file system, and the agent's record of its revisions."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

#: Revisions that the agent keeps per group (reference codedeploy.md, section 3).
KEPT_REVISIONS = 5


@dataclass(frozen=True)
class RevisionFolder:
    """Name the parts of one deployment's folder, laid out as the agent lays it out."""

    path: Path

    @property
    def archive(self) -> Path:
        """Return the folder that holds the unpacked bundle."""
        return self.path / "deployment-archive"

    @property
    def log(self) -> Path:
        """Return the file that holds all that the deployment's scripts printed."""
        return self.path / "logs" / "scripts.log"


@dataclass(frozen=True)
class InstanceFolder:
    """Name the parts of one instance's folder."""

    path: Path

    @property
    def root(self) -> Path:
        """Return what is `/` to the bundle and its hooks."""
        return self.path / "root"

    @property
    def agent(self) -> Path:
        """Return the agent's deployment root, which is also the working directory of hooks."""
        return self.path / "agent"

    @property
    def programs(self) -> Path:
        """Return the folder that comes first on the PATH of hooks."""
        return self.path / "bin"

    @property
    def units(self) -> Path:
        """Return the folder that unit files are read from."""
        return self.root / "etc" / "systemd" / "system"

    @property
    def env_file(self) -> Path:
        """Return the file of facts that user data writes on a real instance."""
        return self.root / "etc" / "shipit" / "instance.env"

    def revision(self, group_id: str, deployment_id: str) -> RevisionFolder:
        """Return the folder of one deployment."""
        return RevisionFolder(self.agent / group_id / deployment_id)

    def install_record(self, group_id: str) -> Path:
        """Return the file that lists what the group's last Install wrote."""
        return self._instructions(group_id, "cleanup")

    def last_installed(self, group_id: str) -> RevisionFolder | None:
        """Return the revision of the last Install that succeeded, if its folder is still there."""
        pointer = self._instructions(group_id, "last_successful_install")
        if not pointer.exists():
            return None
        folder = RevisionFolder(self.agent / group_id / pointer.read_text(encoding="utf-8"))
        return folder if folder.archive.is_dir() else None

    def mark_installed(self, group_id: str, deployment_id: str) -> None:
        """Move the pointer of `last_installed` to this deployment."""
        self._instructions(group_id, "last_successful_install").write_text(deployment_id, encoding="utf-8")

    def drop_old_revisions(self, group_id: str, current: RevisionFolder) -> None:
        """Delete all but the newest five revisions, `current` and the last installed among them."""
        last = self.last_installed(group_id)
        held = {current.path} | ({last.path} if last else set())
        others = [path for path in (self.agent / group_id).iterdir() if path not in held]
        others.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in others[: max(0, len(others) + len(held) - KEPT_REVISIONS)]:
            shutil.rmtree(path)

    def _instructions(self, group_id: str, name: str) -> Path:
        folder = self.agent / "deployment-instructions"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{group_id}_{name}"
