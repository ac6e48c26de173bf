"""The agent takes unknown keys of an appspec, and refuses unknown hooks."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipit.sandbox.instance.manifest import BadManifest, FileMapping, Manifest, Script, read_manifest


def read(folder: Path, text: str) -> Manifest:
    (folder / "appspec.yml").write_text(text)
    return read_manifest(folder)


def test_files_and_hooks_are_read_with_the_agents_defaults(tmp_path: Path) -> None:
    manifest = read(
        tmp_path,
        "version: 0.0\nos: linux\nwhatever: 1\nfile_exists_behavior: RETAIN\n"
        "files:\n- {source: a, destination: /b}\n"
        "hooks:\n  AfterInstall:\n  - location: x.sh\n  - {location: y.sh, timeout: 9, runas: web}\n",
    )
    assert manifest.files == (FileMapping(source="a", destination="/b"),)
    assert manifest.hooks == {
        "AfterInstall": (Script(location="x.sh", timeout=3600), Script(location="y.sh", timeout=9, runas="web"))
    }
    assert manifest.file_exists_behavior == "RETAIN"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("version: 0.0\nos: linux\nhooks:\n  BeforeStop: []", "unknown hook: BeforeStop"),
        ("version: 1.0\nos: linux", "unsupported version: 1.0"),
        ("version: 0.0\nos: plan9", "unsupported os: plan9"),
        ("version: 0.0\nos: linux\nfiles: [{source: a}]", "destination"),
        ("version: 0.0\nos: linux\nhooks: {AfterInstall: [{timeout: 3}]}", "location"),
        ("version: 0.0\nos: linux\nhooks: {AfterInstall: [{location: a, timeout: soon}]}", "soon"),
        ("a: [", "appspec.yml"),
        ("", "appspec.yml"),
        ("just words", "appspec.yml"),
    ],
)
def test_what_the_agent_cannot_use_is_refused_in_one_line(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(BadManifest, match=why) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_bundle_without_an_appspec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadManifest, match="did not find an AppSpec file"):
        read_manifest(tmp_path)
