"""One JSON file per benchmark, with what is needed to believe it: versions, GPU, command, date."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness.report.environment import environment

DEFAULT_FOLDER = Path(__file__).parent / "results" / "h200"


def write_result(name: str, folder: Path | None, figures: Any) -> Path:
    """Write ``<folder>/<name>.json`` and return its path.

    Args:
        name: of the benchmark.
        folder: where to write; results/h200 by default.
        figures: plain JSON values.
    """
    target = (folder or DEFAULT_FOLDER) / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    document = {"benchmark": name, "environment": environment(sys.argv), "figures": figures}
    target.write_text(json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")
    print(f"wrote {target.name}")
    return target
