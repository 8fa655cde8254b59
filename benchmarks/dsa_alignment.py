"""DSA on the GPU: transformers or vLLM, both phases, TP 1 and 8, evidence kept per case.

    python -m benchmarks.dsa_alignment --framework vllm --out OUT

Writes one evidence file per case and a table of them all; says which of the characteristic
kernels of the operator were seen.
"""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.compare.options import Options
from harness.compare.pipeline import Compared, Job, run
from harness.record.choose import choose_recorder
from harness.report.evidence import write_evidence
from harness.report.terminal import print_alignment
from ops.case import Case
from ops.registry import choose_framework, operator
from ops.spec import OpSpec


def cases(op: str, framework: str, tps: list[int]) -> list[Case]:
    """Context 1 x 4096 and generation 8 x 4096 at each TP size."""
    made = []
    for tp in tps:
        made.append(Case(op, "context", tp, 1, 4096, 4096, framework=framework))
        made.append(Case(op, "generation", tp, 8, 1, 4096, framework=framework))
    return made


def row(op: OpSpec, compared: Compared) -> dict[str, Any]:
    """The line of the table for one case."""
    alignment = compared.alignment
    latency = alignment.check("latency")
    found = {
        what: sum(k.reference_count for k in alignment.kernels if re.search(pattern, k.name))
        for what, pattern in op.kernel_patterns.items()
    }
    return {
        "case": dict(alignment.case),
        "verdict": str(alignment.verdict),
        "summary": alignment.summary,
        "checks": {check.name: f"{check.status}: {check.reason}" for check in alignment.checks},
        "ratio": latency.data.get("ratio"),
        "ci95": latency.data.get("ci95"),
        "kernels_mock": sum(k.mock_count for k in alignment.kernels),
        "kernels_reference": sum(k.reference_count for k in alignment.kernels),
        "characteristic_kernels": found,
    }


def main() -> None:
    """Run the cases of one framework; one that fails does not stop the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--op", default="dsa")
    parser.add_argument("--framework", default="transformers")
    parser.add_argument("--tp", default="1,8")
    parser.add_argument("--recorder", default="cupti")
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    arguments = parser.parse_args()
    op = operator(arguments.op)
    adapter, why = choose_framework(op, arguments.framework)
    recorder, reason = choose_recorder(arguments.recorder, "cuda")
    options = Options("cuda", recorder, reason, why)
    wanted = cases(op.name, adapter.name, [int(tp) for tp in arguments.tp.split(",")])
    rows: list[dict[str, Any]] = []
    try:
        for compared in run([Job(op, case, adapter) for case in wanted], options):
            print_alignment(compared.alignment, Console(width=140))
            slug = wanted[len(rows)].slug
            arguments.out.mkdir(parents=True, exist_ok=True)
            write_evidence(compared.alignment, arguments.out / f"{slug}.evidence.json")
            rows.append(row(op, compared))
    except Exception:  # noqa: BLE001  what was finished is kept, and the failure is in the file
        rows.append({"error": traceback.format_exc(limit=8)})
        traceback.print_exc()
    write_result(f"alignment_{op.name}_{adapter.name}", arguments.out, rows)
    wanted_verdict = "diverged" if op.mock == "kernels" else "aligned"
    sys.exit(any(line.get("verdict") != wanted_verdict for line in rows))


if __name__ == "__main__":
    main()
