"""What comes with the tool comes with its wheel, too: an installed shipit makes the same bundles as a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from shipit.build.standard import standard_entries

REPOSITORY = Path(__file__).parents[2]


def test_a_wheel_holds_every_standard_part(tmp_path: Path) -> None:
    source = tmp_path / "source"
    # As git has it, links and all; not what tests and builds leave behind.
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "shipit", "scripts", "appspec"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in [*tracked.stdout.split("\0")[:-1], "pyproject.toml", "README.md"]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, source / name, follow_symlinks=False)
    made = "import setuptools.build_meta as it, sys; print(it.build_wheel(sys.argv[1]))"
    built = subprocess.run([sys.executable, "-c", made, str(tmp_path)], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(tmp_path / built.stdout.splitlines()[-1]) as wheel:
        packed = {
            name.removeprefix("shipit/standard/"): wheel.read(name)
            for name in wheel.namelist()
            if name.startswith("shipit/standard/")
        }
    entries = {entry.name: entry.source.read_bytes() for entry in standard_entries()}
    assert packed == {"appspec/appspec.yml": entries.pop("appspec.yml"), **entries}
