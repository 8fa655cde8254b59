"""Equal sides, again and again: no run may fail a check.

    python -m benchmarks.repeats --framework transformers --fresh 10 --same 40 --out OUT

``--fresh`` runs each in a process of its own; ``--same`` runs all in one process, so that every
run but the first is timed after tracing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.align.checks.kernel_latency import FEWEST_FORWARDS
from harness.align.model import Alignment, Status
from harness.compare.options import Options
from harness.compare.pipeline import Job, run
from harness.record.choose import choose_recorder
from ops.case import Case, Phase
from ops.registry import choose_framework, operator


def summary(alignment: Alignment, kind: str) -> dict[str, Any]:
    """What is kept of one run."""
    latency = alignment.check("latency")
    state = alignment.check("conditions").data
    return {
        "kind": kind,
        "verdict": str(alignment.verdict),
        "failing": [c.name for c in alignment.checks if c.status is Status.FAIL],
        "undecided": [c.name for c in alignment.checks if c.status is Status.INCONCLUSIVE],
        "ratio": latency.data.get("ratio"),
        "ci95": latency.data.get("ci95"),
        "traced_before": state.get("traced_before"),
        "residual": dict(state.get("residual") or {}),
        "summary": alignment.summary,
    }


def runs(framework: str, phase: Phase, tp: int, count: int, kind: str) -> list[dict[str, Any]]:
    """``count`` runs in this process."""
    op = operator("dsa")
    adapter, why = choose_framework(op, framework)
    recorder, reason = choose_recorder("cupti", "cuda")
    batch, new = (8, 1) if phase == "generation" else (1, 4096)
    case = Case("dsa", phase, tp, batch, new, 4096, framework=adapter.name)
    made = []
    for _ in range(count):
        options = Options("cuda", recorder, reason, why, forwards=FEWEST_FORWARDS)
        (compared,) = run([Job(op, case, adapter)], options)
        made.append(summary(compared.alignment, kind))
    return made


def fresh(framework: str, phase: str, tp: int) -> list[dict[str, Any]]:
    """One run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.repeats", "--framework", framework]
        command += ["--phase", phase, "--tp", str(tp), "--fresh", "0", "--same", "1"]
        command += ["--kind", "fresh", "--out", folder]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        document = json.loads((Path(folder) / "repeats.json").read_text())
    found: list[dict[str, Any]] = document["figures"]["runs"]
    return found


def main() -> None:
    """Run them all and count the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framework", default="transformers")
    parser.add_argument("--phase", default="generation")
    parser.add_argument("--tp", type=int, default=8)
    parser.add_argument("--fresh", type=int, default=10)
    parser.add_argument("--same", type=int, default=40)
    parser.add_argument("--kind", default="same process")
    parser.add_argument("--name", default="repeats")
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    a = parser.parse_args()
    made = [line for _ in range(a.fresh) for line in fresh(a.framework, a.phase, a.tp)]
    made += runs(a.framework, a.phase, a.tp, a.same, a.kind)
    verdicts = Counter(f"{line['kind']}: {line['verdict']}" for line in made)
    figures = {
        "framework": a.framework,
        "phase": a.phase,
        "tp": a.tp,
        "verdicts": dict(verdicts),
        "runs_with_a_failing_check": sum(bool(line["failing"]) for line in made),
        "runs": made,
    }
    print(json.dumps({key: figures[key] for key in figures if key != "runs"}))
    write_result(a.name, a.out, figures)
    sys.exit(figures["runs_with_a_failing_check"] > 0)


if __name__ == "__main__":
    main()
