"""A child of `benchmarks.recorder`: one peer, one workload, measured when told to.

It sets up, writes the file ``ready`` into its folder, waits for a line on standard input, measures,
and writes ``result.json``: ``{"parts": ...}``, ``{"skipped": reason}`` or ``{"error": text}``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.recorder_clock import Cuda, Device, Host
from benchmarks.recorder_cupti_python import CuptiPython
from benchmarks.recorder_floor import Floor
from benchmarks.recorder_measure import measure
from benchmarks.recorder_peers import Harness, Nothing, Peer
from benchmarks.recorder_profilers import Proton, TorchProfiler
from benchmarks.recorder_workloads import WORKLOADS, Part, Sizes, SkippedError, build

READY, RESULT = "ready", "result.json"

PEERS: dict[str, Callable[[], Peer]] = {
    "nothing": Nothing,
    "floor": lambda: Floor(filtered=False),
    "floor_filtered": lambda: Floor(filtered=True),
    "cupti_python_13_0": CuptiPython,
    "cupti_python_13_4": CuptiPython,
    "torch_profiler": TorchProfiler,
    "proton": Proton,
    "harness": Harness,
}


def arguments_of(peer: str, workload: str, sizes: Sizes, limit: int, folder: Path) -> list[str]:
    """The command line of a child, after ``python -m benchmarks.recorder_child``."""
    options = ["--sizes", json.dumps(asdict(sizes)), "--limit", str(limit)]
    return [peer, workload, *options, "--folder", str(folder)]


def set_up(
    peer_name: str, workload: str, sizes: Sizes, limit: int
) -> tuple[Peer, list[Part], Device, dict[str, Any]]:
    """Everything that needs no quiet machine."""
    peer = PEERS[peer_name]()
    device: Device = Host() if workload == "host" else Cuda()
    facts = peer.prepare()
    parts = [part.limited(limit) for part in build(workload, sizes)]
    device.synchronise()
    return peer, parts, device, facts


def mapped() -> dict[str, int]:
    """How many copies of libcupti are in this process, where the peer has to do with it."""
    library = sys.modules.get("harness.record.cupti.library")
    return {"libcupti_mapped": len(library.mapped_libraries())} if library else {}


def result_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Set up, wait, measure."""
    sizes = Sizes(**json.loads(arguments.sizes))
    peer, parts, device, facts = set_up(arguments.peer, arguments.workload, sizes, arguments.limit)
    (arguments.folder / READY).touch()
    if not sys.stdin.readline():
        return {"error": "the parent has gone"}
    measured = measure(peer, parts, device)
    return {"parts": measured, "facts": facts | mapped()}


def main() -> None:
    """Measure one peer and one workload; whatever goes wrong is in the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("workload", choices=(*WORKLOADS, "host"))
    parser.add_argument("--sizes", required=True)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        result = result_of(arguments)
    except SkippedError as reason:
        result = {"skipped": str(reason)}
    except BaseException as error:  # noqa: BLE001  it is one line of the results
        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    unfinished = arguments.folder / "unfinished"
    unfinished.write_text(json.dumps(result))
    unfinished.rename(arguments.folder / RESULT)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # tearing down a framework takes seconds and proves nothing here


if __name__ == "__main__":
    main()
