"""Weights streamed on two streams, with and without prefetch: ideal against actual time.

    python -m benchmarks.streaming --out OUT

Records examples/two_stream_prefetch.py, keeps both Traces, and writes what the streaming and
overlap analyses say of them.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.analyze.overlap import overlap
from harness.analyze.streaming import streaming
from harness.trace import Trace, write_trace

EXAMPLE = Path(__file__).parent.parent / "examples" / "two_stream_prefetch.py"
LAYERS, HIDDEN, TOKENS, GEMMS, SLOTS, STEPS = 8, 8192, 4096, 4, 2, 3


def example() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("two_stream_prefetch", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def figures(trace: Trace) -> dict[str, Any]:
    """What the analyses say, as plain JSON."""
    report = streaming(trace)
    return {
        "complete": trace.info.complete,
        "numbers": report.numbers,
        "layers": report.layers.to_pylist(),
        "roles": report.roles.to_pylist(),
        "findings": [each.statement for each in report.findings],
        "overlap": [row for row in overlap(trace).to_pylist() if row["range"] is None],
        "notes": list(report.notes),
    }


def main() -> None:
    """Record both ways and write the figures."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    given = parser.parse_args()
    module = example()
    model = module.StreamedLayers(LAYERS, HIDDEN, SLOTS, GEMMS)
    inputs = torch.randn(TOKENS, HIDDEN, dtype=torch.bfloat16, device="cuda")
    found: dict[str, Any] = {}
    given.out.mkdir(parents=True, exist_ok=True)
    for name, prefetch in (("no_prefetch", False), ("prefetch", True)):
        trace = module.record(model, inputs, STEPS, prefetch=prefetch)
        write_trace(trace, given.out / f"streaming_{name}.parquet")
        found[name] = figures(trace)
        print(name, found[name]["numbers"], *found[name]["findings"], sep="\n  ")
    sizes = {"layers": LAYERS, "hidden": HIDDEN, "tokens": TOKENS, "gemms": GEMMS}
    write_result(
        "streaming", given.out, {"sizes": sizes | {"slots": SLOTS, "steps": STEPS}, **found}
    )


if __name__ == "__main__":
    main()
