"""The agent takes what only people regret in an appspec, and refuses its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipit.sandbox.instance.manifest import BadManifest, read_manifest


def test_a_warning_does_not_stop_the_agent(tmp_path: Path) -> None:
    (tmp_path / "appspec.yml").write_text(
        "version: 0.0\nos: linux\nwhatever: 1\nhooks:\n  AfterInstall: [{location: x}]\n"
    )
    assert [hook.location for hook in read_manifest(tmp_path).hooks["AfterInstall"]] == ["x"]


def test_an_error_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "appspec.yml").write_text("version: 0.0\nos: linux\nhooks:\n  BeforeStop: [{location: x}]\n")
    with pytest.raises(BadManifest, match=r"^appspec\.yml:4: 'BeforeStop' is unknown in hooks.*$") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_bundle_without_an_appspec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadManifest, match="did not find an AppSpec file"):
        read_manifest(tmp_path)
