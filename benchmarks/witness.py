"""Live CUPTI lists against nsys in a process of its own, for the DSA layer.

    python -m benchmarks.witness --framework vllm --out OUT

A row per case: what the check `nsys witness` said, and its figures.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path
from typing import Any, Literal

from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.align.checks.witness import NAME
from harness.compare.options import Options
from harness.compare.pipeline import Compared, Job, run
from harness.compare.witness import find_validator
from harness.record.choose import choose_recorder
from ops.case import Case
from ops.registry import choose_framework, operator

CASES: tuple[tuple[Literal["context", "generation"], int, int, int], ...] = (
    ("context", 1, 4096, 4096),
    ("generation", 8, 1, 4096),
)
"""Phase, batch size, new tokens and KV length."""


def row(compared: Compared) -> dict[str, Any]:
    """What was found of one case."""
    alignment = compared.alignment
    check = alignment.check(NAME)
    return {
        "case": dict(alignment.case),
        "verdict": str(alignment.verdict),
        "status": str(check.status),
        "reason": check.reason,
        "details": list(check.details),
        "data": dict(check.data),
    }


def main() -> None:
    """Run both phases; one that fails is in the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framework", default="vllm")
    parser.add_argument("--tp", type=int, default=8)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    given = parser.parse_args()
    op = operator("dsa")
    adapter, why = choose_framework(op, given.framework)
    recorder, reason = choose_recorder("cupti", "cuda")
    program = find_validator("cuda", recorder.name)
    options = Options("cuda", recorder, reason, why, validator=program)
    wanted = [
        Case(op.name, phase, given.tp, batch, new, kv, framework=adapter.name)
        for phase, batch, new, kv in CASES
    ]
    rows: list[dict[str, Any]] = []
    try:
        for compared in run([Job(op, case, adapter) for case in wanted], options):
            rows.append(row(compared))
            print(rows[-1]["status"], rows[-1]["reason"], *rows[-1]["details"], sep="\n  ")
    except Exception:  # noqa: BLE001  what was finished is kept, and the failure is in the file
        rows.append({"error": traceback.format_exc(limit=8)})
        traceback.print_exc()
    write_result(f"witness_{adapter.name}", given.out, {"nsys": str(program), "rows": rows})
    sys.exit(len(rows) < len(wanted) or any(line.get("status") != "pass" for line in rows))


if __name__ == "__main__":
    main()
