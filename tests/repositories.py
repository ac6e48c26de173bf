"""Real git repositories for tests: small projects that shipit can build."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from shipit.settings import Settings

APPSPEC = """version: 0.0
os: linux
files:
  - source: /
    destination: /opt/app/incoming
hooks:
  AfterInstall:
    - location: scripts/switch.sh
      timeout: 60
"""
SWITCH = "#!/bin/sh\nln -sfn incoming /opt/app/current\n"
_IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "2026-03-01T12:30:00+02:00",
    "GIT_COMMITTER_DATE": "2026-03-01T12:30:00+02:00",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in the folder, as one author at one time, without the user's settings."""
    shown = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **_IDENTITY}, capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


def commit(folder: Path, files: dict[str, str], *, executable: tuple[str, ...] = ()) -> str:
    """Write the files, commit them all, and return the commit's sha."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(folder, "add", "--all")
    for name in executable:
        git(folder, "update-index", "--chmod=+x", name)
        (folder / name).chmod(0o755)
    git(folder, "commit", "-q", "-m", "a change")
    return git(folder, "rev-parse", "HEAD")


def project(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Make a repository with the standard appspec and hook, and these files."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    standard = {"appspec/appspec.yml": APPSPEC, "scripts/switch.sh": SWITCH, ".gitignore": ".shipit/\ndist/\n"}
    commit(folder, {**standard, **(files or {"app/main.py": "print(1)\n"})}, executable=("scripts/switch.sh",))
    return folder


def settings(root: Path, *, protected: bool = False, **build: Any) -> Settings:
    """Return the settings of a project that builds its folder `app`, unless told otherwise."""
    return Settings.model_validate(
        {
            "env": "test",
            "root": root,
            "source": root / "shipit.toml",
            "application": "worker",
            "bucket": "b",
            "protected": protected,
            "build": {"path": "app", **build},
        }
    )
