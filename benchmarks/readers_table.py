"""The figures of the readers, of the nsys witness and of weight streaming as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import table

CPU = Path(__file__).parent / "results" / "cpu"

LARGE = (
    "An export of Nsight Systems with kernels repeated from a real one: read, kernel summary, "
    "union and naive gaps, each way in its own process on 2 cores, medians. `harness` is kernels "
    "with launch configurations and copies, `everything` 10 million API calls and 1 million NVTX "
    "ranges too."
)
KINETO = (
    "A trace of torch.profiler of {size} MB, repeated from a real one: load and kernel breakdown. "
    "HolisticTraceAnalysis keeps all ranges; the harness keeps them on request."
)


def load(name: str, folder: Path) -> Any:
    """The figures of a result file; None where it was not measured."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text())["figures"] if path.exists() else None


def readers() -> list[str]:
    """Speed of reading, and files whose figures were checked."""
    nsys, kineto = load("readers_nsys", CPU), load("readers_kineto", CPU)
    if nsys is None or kineto is None:
        return []
    rows = [
        [row["way"], f"{row['kernels']:,}", *_cost(row["seconds"], row["peak_rss_bytes"] / 2**20)]
        for row in nsys
    ]
    names = {"hta": "HolisticTraceAnalysis 0.5", "harness_all_ranges": "harness, all ranges"}
    other = [
        [names.get(way, way), *_cost(cost["load_and_breakdown_s"], cost["peak_rss_mib"])]
        for way, cost in kineto["medians"].items()
    ]
    return [
        "## Reading files, on 2 CPU cores",
        _checked(),
        LARGE,
        table(["way", "kernels", "s", "peak MiB"], rows),
        KINETO.format(size=round(kineto["bytes"] / 1e6)),
        table(["way", "s", "peak MiB"], other),
    ]


def _cost(seconds: float, mib: float) -> list[str]:
    return [f"{seconds:.2f}", f"{mib:.0f}"]


def _checked() -> str:
    files = [*load("readers_nsys_figures", CPU), *load("readers_kineto_figures", CPU)]
    equal = sum(row["equal"] for row in files)
    return (
        f"{equal} of {len(files)} real files give the figures that were computed independently "
        "(kernels, total, wall, naive and union gap, longest kernels; one has no kernels, and says "
        "so)."
    )


def witness(folder: Path, name: str) -> list[str]:
    """Live CUPTI lists against nsys."""
    found = load(name, folder)
    if found is None:
        return []
    rows = [_witnessed(row) for row in found["rows"] if "error" not in row]
    rows += [
        ["-", "error", "", "", row["error"].splitlines()[-1]]
        for row in found["rows"]
        if "error" in row
    ]
    program = found["nsys"].split(" (")[0]  # without where it lies
    head = ["case", "check", "kernels live = nsys", "durations compared", "median difference"]
    return [
        f"Live CUPTI against {program}, which ran the case in its own process:",
        table(head, rows),
    ]


def _witnessed(row: Mapping[str, Any]) -> list[str]:
    case, data = row["case"], row["data"]
    lists = data.get("lists", {})
    shown = ", ".join(f"{label} {one['live']} = {one['nsys']}" for label, one in lists.items())
    median = data.get("median_difference")
    return [
        "{framework} {phase} {batch_size}x{kv_len}, tp {tp}".format(**case),
        row["status"],
        shown or row["reason"],
        str(data.get("kernels_timed", 0)),
        "-" if median is None else f"{median:.2%}",
    ]


def streaming(folder: Path) -> list[str]:
    """Weight streaming with and without prefetch."""
    found = load("streaming", folder)
    if found is None:
        return []
    head = ["run", "compute ms", "copies ms", "hidden", "ideal ms", "actual ms", "ideal / actual"]
    rows = [_streamed(name, found[name]["numbers"]) for name in ("no_prefetch", "prefetch")]
    sizes = found["sizes"]
    what = (
        f"{sizes['layers']} layers of {2 * sizes['hidden'] ** 2 >> 20} MiB, {sizes['gemms']} GEMMs "
        f"each, room for {sizes['slots']} on the device, {sizes['steps']} steps "
        "(examples/two_stream_prefetch.py). Ideal: the longer of compute and copy, layer by layer:"
    )
    return ["## Weight streaming on two streams", what, table(head, rows)]


def _streamed(name: str, numbers: Mapping[str, Any]) -> Sequence[str]:
    def ms(key: str) -> str:
        return f"{numbers[key] / 1e6:.1f}"

    return [
        name.replace("_", " "),
        ms("compute_ns"),
        ms("copy_ns"),
        f"{numbers['overlapped_share_of_streamed_copy']:.1%}",
        ms("ideal_ns"),
        ms("actual_ns"),
        f"{numbers['ideal_share_of_actual']:.1%}",
    ]
