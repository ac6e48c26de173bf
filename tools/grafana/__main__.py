"""Write the generated files of shipit/dashboards anew."""

from __future__ import annotations

from pathlib import Path

from tools.grafana import files

TARGET = Path(__file__).parents[2] / "shipit/dashboards"

for name, text in files().items():
    (TARGET / name).write_text(text, encoding="utf-8")
    print(f"{TARGET / name}: {len(text.splitlines())} lines")
