"""DSA located in models of several decoder layers: blind, against the truth of module regions.

    python -m benchmarks.locate_models record --framework transformers --out TRACES
    python -m benchmarks.locate_models record --framework vllm --out TRACES
    python -m benchmarks.locate_models locate --traces TRACES --out RESULTS

``record`` needs the GPU (or ``--device meta`` with transformers, for ATen calls): it records the
mock of each phase and a model of four layers with dense MLPs, eagerly and as a replayed CUDA graph,
to Parquet. Each ``self_attn`` of the model is in a region, which is the truth. ``locate`` runs
anywhere: it takes all regions off, locates the mock's list by alignment and by kernel names, and
counts the occurrences whose launches are exactly those of a region. Steps and layers are held
against the regions too: one ``forward`` region is a step.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.compare.options import Options
from harness.compare.recording import record_eager, record_replays
from harness.errors import HarnessError
from harness.locate import Request, locate
from harness.measure.graph import capture
from harness.record.choose import choose_recorder
from harness.record.modules import module_regions
from harness.trace import Trace, read_trace, write_trace
from harness.trace.schema import ACTIVITIES
from ops.case import Case
from ops.registry import choose_framework, operator
from ops.sides import Side
from ops.spec import OpSpec

TRUTH = "*layers.*.self_attn"
"""Name of the regions around the operator in the recorded models."""


def cases(op: str, framework: str, tp: int) -> list[Case]:
    """Context 1 x 4096 and generation 8 x 4096."""
    return [
        Case(op, "context", tp, 1, 4096, 4096, framework=framework),
        Case(op, "generation", tp, 8, 1, 4096, framework=framework),
    ]


def record(op: OpSpec, framework: str, layers: int, tp: int, device: str, out: Path) -> None:
    """Record the mock and the model of each phase."""
    out.mkdir(parents=True, exist_ok=True)
    adapter, why = choose_framework(op, framework)
    models = importlib.import_module(f"benchmarks.locate_{framework}")
    recorder, reason = choose_recorder("cupti" if device == "cuda" else "dispatch", device)
    options = Options(device, recorder, reason, why)
    for case in cases(op.name, framework, tp):
        stem = f"{framework}-{case.phase}"
        sides = adapter.build(op, case, device)
        try:
            _write(sides.mock, options, out, f"{stem}-mock")
        finally:
            sides.close()
        del sides
        _empty(device)
        model = models.whole_model(op, case, layers, device)
        _write(model, options, out, f"{stem}-model", models.REGIONS)
        del model
        _empty(device)


def _write(side: Side, options: Options, out: Path, stem: str, regions: str = "") -> None:
    """Record eager forwards, and replays where the side can be captured."""

    def inside() -> Any:
        assert side.module is not None or not regions
        return module_regions(side.module, [regions]) if regions else nullcontext()

    with inside():
        eager = record_eager(side, options)
    print(f"{stem} eager: {eager}")
    write_trace(eager, out / f"{stem}.eager.parquet")
    if options.device != "cuda":
        return
    try:
        with options.recorder.watch_captures(), inside():
            graph = capture(side)
    except HarnessError as error:
        print(f"{stem}: no graph: {error}")
        return
    try:
        replays = record_replays(graph, options)
    finally:
        graph.close()
    print(f"{stem} replays: {replays}")
    write_trace(replays, out / f"{stem}.parquet")


def _empty(device: str) -> None:
    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def without_regions(trace: Trace) -> Trace:
    """The same activities in no region, as of a tool that shows none."""
    nothing = pa.nulls(len(trace), pa.int64())
    columns = {name: trace.activities[name] for name in ACTIVITIES.names}
    columns |= {"region": nothing, "launched_in": nothing}
    return Trace(pa.table(columns, schema=ACTIVITIES), trace.info)


def figures(op: OpSpec, traces: Path) -> Iterator[dict[str, Any]]:
    """One row per recorded model, method and mode."""
    for path in sorted(traces.glob("*-model*.parquet")):
        model = read_trace(path)
        mock = read_trace(path.with_name(path.name.replace("-model", "-mock")))
        truth = locate(model, Request(region=TRUTH)).occurrences
        request = Request(mock=mock, by="alignment")
        yield {"trace": path.name, **_row(without_regions(model), request, truth)}
        named = replace(request, by="pattern", patterns=op.kernel_patterns)
        try:
            yield {"trace": path.name, **_row(without_regions(model), named, truth)}
        except HarnessError as error:  # transformers launches none of the production kernels
            yield {"trace": path.name, "method": "pattern", "not_applicable": str(error)}


def _row(model: Trace, request: Request, truth: Any) -> dict[str, Any]:
    start = time.perf_counter()
    found = locate(model, request)
    seconds = time.perf_counter() - start
    lists = {one.rows for one in truth}
    exact = sum(one.rows in lists for one in found.occurrences)
    # without times, as of ATen calls, nothing tells steps
    timed = all(one.start_ns is not None for one in truth)
    return {
        "method": found.method,
        "because": found.because,
        "launches_in_model": len(model),
        "expected": len(truth),
        "found": len(found.occurrences),
        "exactly_the_region": exact,
        "steps_by_layers": _steps_by_layers(found.occurrences) if timed else None,
        "in_their_steps_and_layers": _numbered(found.occurrences) == _numbered(truth)
        if timed
        else None,
        "best_score": found.best,
        "reason": found.reason,
        "steps": found.steps_rule,
        "phases": found.phases.to_pylist(),
        "layers": found.layers.to_pylist(),
        "launch_lists": [
            {"occurrences": one["occurrences"], "launches": one["launches"]}
            for one in found.variants
        ],
        "notes": list(found.notes),
        "seconds": round(seconds, 4),
    }


def _numbered(occurrences: Any) -> dict[tuple[int, ...], tuple[int | None, int | None]]:
    """Step, counted from 0 over those that hold an occurrence, and layer of each list of rows."""
    steps = sorted({one.step for one in occurrences if one.step is not None})
    return {
        one.rows: (None if one.step is None else steps.index(one.step), one.layer)
        for one in occurrences
    }


def _steps_by_layers(occurrences: Any) -> str:
    layers = Counter(one.step for one in occurrences)
    return f"{len(layers)} x {'-'.join(map(str, sorted(set(layers.values()))))}"


def is_right(row: Mapping[str, Any]) -> bool:
    """Whether all regions were found, nothing else, each in its step and layer.

    Where steps could not be told, or a method does not apply, that is not held against it.
    """
    if "found" not in row:
        return "not_applicable" in row
    found = row["expected"] == row["found"] == row["exactly_the_region"]
    return found and row["in_their_steps_and_layers"] is not False


def main() -> None:
    """Record, or locate what was recorded; exit 1 where one was missed, added or misplaced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("record", "locate"))
    parser.add_argument("--op", default="dsa")
    parser.add_argument("--framework", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tp", type=int, default=8)
    parser.add_argument("--device", choices=("cuda", "meta"), default="cuda")
    parser.add_argument("--traces", type=Path)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    given = parser.parse_args()
    op = operator(given.op)
    if given.what == "record":
        record(op, given.framework, given.layers, given.tp, given.device, given.out)
        return
    if given.traces is None:
        parser.error("locate needs --traces, the folder that record wrote")
    rows = list(figures(op, given.traces))
    for row in rows:
        shown = ("trace", "method", "expected", "found", "steps_by_layers")
        print({key: row.get(key) for key in shown})
    write_result("locate_models", given.out, rows)
    sys.exit(not rows or not all(map(is_right, rows)))


if __name__ == "__main__":
    main()
