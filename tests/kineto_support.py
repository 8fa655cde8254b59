"""The recorded torch.profiler traces, and what a plain script says of them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "kineto"
H100 = FOLDER / "tracelens_h100_qwen1.5_0.5b.pt.trace.json.gz"
B200 = FOLDER / "tracelens_b200_vllm_tp8_mxfp4_prefill.pt.trace.json.gz"
A100 = FOLDER / "hta_trace_diff_control_a100_pruned.json.gz"
FILES = (H100, B200, A100)
EXCERPT = FOLDER.with_name("kineto_h100_excerpt.json")


@dataclass(frozen=True)
class Figures:
    """Of the kernels of a file; times in ns."""

    kernels: int
    streams: int
    total: int
    wall: int
    idle: int
    naive: int
    longest: tuple[str, int, int]


EXPECTED = {
    H100: Figures(
        1465, 1, 45_432_698, 49_652_832, 4_220_134, 4_220_134,
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64", 241, 12_789_918),
    ),
    B200: Figures(
        768, 1, 10_862_916, 83_365_710, 72_572_072, 72_572_072,
        ("bmm_MxE4m3_MxE2m1MxE4m3_Fp32_t128x16x256u2_s3_et128x16", 36, 3_181_785),
    ),
    A100: Figures(
        8568, 3, 446_813_000, 463_441_000, 94_184_000, 161_202_000,
        ("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclWorkElem)", 42, 130_655_000),
    ),
}  # fmt: skip
"""As published with the files, before this reader was written; names by their beginning."""


def content(path: Path) -> bytes:
    """The JSON of a file."""
    return gzip.decompress(path.read_bytes())


def document(path: Path) -> dict[str, Any]:
    """A file, parsed as a whole, with exact numbers."""
    found: dict[str, Any] = json.loads(content(path), parse_float=Decimal)
    return found


def plain_figures(path: Path) -> Figures:
    """The same figures by a plain script."""
    kernels = [event for event in document(path)["traceEvents"] if event.get("cat") == "kernel"]
    spans = sorted((ns(e["ts"]), ns(e["ts"]) + ns(e["dur"])) for e in kernels)
    busy, reached = 0, spans[0][0]
    for start, end in spans:
        busy += max(0, end - max(start, reached))
        reached = max(reached, end)
    wall = reached - spans[0][0]
    naive = sum(max(0, spans[i + 1][0] - spans[i][1]) for i in range(len(spans) - 1))
    total: Counter[str] = Counter()
    for event in kernels:
        total[event["name"]] += ns(event["dur"])
    name, longest = total.most_common(1)[0]
    return Figures(
        len(kernels),
        len({(e["args"]["device"], e["args"]["stream"]) for e in kernels}),
        sum(end - start for start, end in spans),
        wall,
        wall - busy,
        naive,
        (name, sum(e["name"] == name for e in kernels), longest),
    )


def ns(microseconds: Any) -> int:
    """A number of µs with three decimals at most."""
    exact = Decimal(microseconds) * 1000
    assert exact == int(exact)
    return int(exact)


def event(category: str, name: str = "k", ts: Any = 1, dur: Any = 1, **args: Any) -> dict[str, Any]:
    """An invented event of one process and thread."""
    return {
        "ph": "X", "cat": category, "name": name, "ts": ts, "dur": dur, "pid": 9, "tid": 9,
        "args": args,
    }  # fmt: skip


def written(folder: Path, events: Any, **header: Any) -> Path:
    """A file with these events."""
    path = folder / "trace.json"
    path.write_text(json.dumps({**header, "traceEvents": events}))
    return path
