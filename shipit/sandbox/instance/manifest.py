"""Read the appspec.yml of an unpacked bundle, and refuse what the agent would refuse."""

from __future__ import annotations

from pathlib import Path

from shipit.appspec import AppSpec, read_appspec
from shipit.models import Severity


class BadManifest(Exception):
    """Say why the agent would refuse an appspec.yml, in one line."""


def read_manifest(archive: Path) -> AppSpec:
    """Return what the bundle's appspec orders. Raises BadManifest for the first error in it.

    The `permissions` section is read, and not carried out: an instance of the sandbox has one user.
    """
    path = next((archive / name for name in ("appspec.yml", "appspec.yaml") if (archive / name).is_file()), None)
    if path is None:
        raise BadManifest(
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory"
            ' at revision-relative path "appspec.yml"'
        )
    appspec, findings = read_appspec(path.read_bytes(), name=path.name)
    error = next((finding for finding in findings if finding.severity is Severity.ERROR), None)
    if error:
        raise BadManifest(f"{error.file}:{error.line}: {error.reason}")
    return appspec
