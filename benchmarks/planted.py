"""Planted differences on the GPU: each must be found and named by the right check.

python -m benchmarks.planted --framework transformers --out OUT
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from typing import Any

from benchmarks.plants import PLANTS, Plant
from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.align.checks.kernel_latency import FEWEST_FORWARDS
from harness.align.model import Status
from harness.compare.options import Options
from harness.compare.pipeline import Job, run
from harness.record.choose import choose_recorder
from ops.case import Case
from ops.registry import choose_framework, operator


def planted(plant: Plant, job: Job, options: Options) -> dict[str, Any]:
    """What the checks said about one plant."""
    line: dict[str, Any] = {
        "plant": plant.name,
        "phase": job.case.phase,
        "expected_check": plant.expected(job.case),
    }
    try:
        (compared,) = run([plant.plant(job)], options)
    except Exception as error:  # noqa: BLE001  a mock that the framework refuses is one row, too
        traceback.print_exc(limit=-2)
        return line | {"outcome": "refused", "error": f"{type(error).__name__}: {error}"[:500]}
    alignment = compared.alignment
    failing = {c.name: c.reason for c in alignment.checks if c.status is Status.FAIL}
    return line | {
        "verdict": str(alignment.verdict),
        "failing": failing,
        "details": {name: list(alignment.check(name).details[:3]) for name in failing},
        "outcome": "found" if line["expected_check"] in failing else "missed",
    }


def main() -> None:
    """Run every plant in both phases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framework", default="transformers")
    parser.add_argument("--tp", type=int, default=8)
    parser.add_argument("--only", default="", help="names of plants, separated by semicolons")
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    arguments = parser.parse_args()
    op = operator("dsa")
    adapter, why = choose_framework(op, arguments.framework)
    recorder, reason = choose_recorder("cupti", "cuda")
    options = Options("cuda", recorder, reason, why, forwards=FEWEST_FORWARDS, rounds=20)
    tp, name = arguments.tp, adapter.name
    cases = [
        Case("dsa", "context", tp, 1, 4096, 4096, framework=name),
        Case("dsa", "generation", tp, 8, 1, 4096, framework=name),
    ]
    chosen = [p for p in PLANTS if not arguments.only or p.name in arguments.only.split(";")]
    rows = [planted(plant, Job(op, case, adapter), options) for case in cases for plant in chosen]
    for line in rows:
        said = ", ".join(line.get("failing", {})) or line.get("error", "")
        start = f"{line['outcome']:7} {line['phase']:10} {line['plant']:32}"
        print(f"{start} {line['expected_check']}: {said}")
    write_result(f"planted_{name}", arguments.out, rows)
    sys.exit(any(line["outcome"] == "missed" for line in rows))


if __name__ == "__main__":
    main()
