"""What runs on an instance needs no newer Python than an old instance has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_everything_on_the_instance_runs_on_python_3_9(tmp_path: Path) -> None:
    assert needs(SCRIPTS).returncode == 0, needs(SCRIPTS).stdout
    (tmp_path / "new.py").write_text("import itertools\nitertools.batched([], 2)\n")
    assert needs(tmp_path).returncode == 1


def needs(folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask which Python a folder's files need; exit code 1 for a newer one than 3.9."""
    command = [
        str(Path(sys.executable).with_name("vermin")),
        "--target=3.9-",
        "--violations",
        "--no-tips",
        str(folder),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)
