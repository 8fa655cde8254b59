"""Cost of recording, side by side: nothing, CUPTI's floor, the harness, and four other ways.

    python -m benchmarks.recorder --cupti-python-13-0 DIR --cupti-python-13-4 DIR --out OUT

DIR holds an installed package (``pip install --no-deps --target DIR cupti-python==13.0.1``; 13.4.0
with pyelftools). Every peer and workload has a process of its own, measured alone; the order is
repetition, then workload, then peer. Ends with 1 when a required goal is missed; with --quick,
whose sizes say nothing about goals, when a process failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.recorder_child import PEERS
from benchmarks.recorder_children import run
from benchmarks.recorder_goals import goals, missed
from benchmarks.recorder_process import Job
from benchmarks.recorder_summary import (
    HEAD,
    RESIDUAL_HEAD,
    failures,
    goal_rows,
    residual_rows,
    rows,
    summarised,
    text_table,
)
from benchmarks.recorder_workloads import QUICK, WORKLOADS, Sizes
from benchmarks.results_file import DEFAULT_FOLDER, write_result

SLOW = ("cupti_python_13_0", "torch_profiler")
"""Peers that need tens of µs and more per record."""

HARNESS_ALONE = ("million_graph", "scaling")
QUICK_SLOW = 3_000
NOTES = {
    "launch_us": "host time of the launch loop per call, before synchronising",
    "node_us": "device time around the replays, by CUDA events, per graph node",
    "start_us": "switching the recording on",
    "usable_us": "from leaving the region to usable data, the device synchronised before",
    "usable_unsynchronised_us": "the same without that synchronisation: the rest of the device's "
    "work is in it",
    "usable data": "harness: Trace; cupti_python: callbacks over, fields read; torch_profiler: "
    "stop() and events(), and stop_and_export_us: stop() and export_chrome_trace(); proton: "
    "finalize() and its hatchet file read; floor: buffers given back, nothing decoded",
    "per_record": "raw records that the peer saw, or, where it does not say, that were requested",
    "before_, after_": "untraced, in the same process, before the first and after the last "
    "recording",
    "first_": "the first recording of the process, which is in no other figure",
    "rss": "growth of the process since before its first recording, while the data are held",
    "lost": "activities that were launched and not seen, or dropped records, whichever is more; "
    "proton names kernels alone, so copies of dsa count as lost there",
    "complete": "1 where the Trace says that nothing is missing",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    add = made.add_argument
    add("--out", type=Path, default=DEFAULT_FOLDER)
    add("--quick", action="store_true", help="a smoke run: small counts; recorder_quick.json")
    add("--repetitions", type=int, help="processes per peer and workload (default 3, quick 1)")
    add("--peers", default=",".join(PEERS), help="names, separated by commas")
    add("--workloads", default=",".join(WORKLOADS), help="names, separated by commas")
    add("--launches", type=int, help="of the eager stream")
    add("--records", type=int, help="raw records of the million workloads")
    add("--slow-records", type=int, default=30_000, help="limit per recording of slow peers")
    add("--slow-million", type=int, default=100_000, help="the same in the million workload")
    add("--cupti-python-13-0", type=Path, help="folder with cupti-python 13.0.x")
    add("--cupti-python-13-4", type=Path, help="folder with cupti-python 13.4.x")
    add("--together", type=int, default=12, help="processes set up at a time; one is measured")
    add("--seconds", type=float, default=540, help="nothing is started after so long")
    return made


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Of the workloads."""
    sizes = asdict(QUICK if options.quick else Sizes())
    given = {"launches": options.launches, "records": options.records}
    return Sizes(**sizes | {name: count for name, count in given.items() if count})


def limit_of(peer: str, workload: str, options: argparse.Namespace) -> int:
    """Most raw records per recording; 0 is no limit."""
    if peer not in SLOW:
        return 0
    if options.quick:
        return QUICK_SLOW
    return int(options.slow_million if workload == "million" else options.slow_records)


def repetitions_of(peer: str, workload: str, options: argparse.Namespace) -> int:
    """What takes long and decides little is measured once: slow peers, a million of others."""
    asked = options.repetitions or (1 if options.quick else 3)
    once = (peer in SLOW and workload != "eager") or (peer != "harness" and workload == "million")
    return 1 if once else int(asked)


def _packages(peer: str, options: argparse.Namespace) -> Path | None:
    """A peer's own folder; the harness borrows one where no cupti-python is installed."""
    borrows = peer == "harness" and importlib.util.find_spec("cupti") is None
    found: Path | None = getattr(options, "cupti_python_13_0" if borrows else peer, None)
    return found


def plan(options: argparse.Namespace) -> tuple[list[Job], list[dict[str, Any]]]:
    """The jobs in order, and a line for each peer that is left out."""
    peers = [peer for peer in options.peers.split(",") if peer]
    without = [p for p in peers if p.startswith("cupti_python") and not _packages(p, options)]
    left_out = [
        {
            "peer": peer,
            "workload": "all",
            "repetition": 0,
            "skipped": f"no folder given with --{peer.replace('_', '-')}",
        }
        for peer in without
    ]
    kept = [peer for peer in peers if peer not in without]
    jobs = []
    for repetition in range(options.repetitions or (1 if options.quick else 3)):
        at = repetition % max(1, len(kept))
        for workload in options.workloads.split(","):
            for peer in [*kept[at:], *kept[:at]]:  # nobody is always first
                if workload in HARNESS_ALONE and peer != "harness":
                    continue
                if repetition < repetitions_of(peer, workload, options):
                    limit = limit_of(peer, workload, options)
                    jobs.append(Job(peer, workload, repetition, limit, _packages(peer, options)))
    return jobs, left_out


def absent_parts(children: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Parts of workloads that the harness had to skip here."""
    skipped = {c["workload"] for c in children if c["peer"] == "harness" and "skipped" in c}
    return ("dsa_eager", "dsa_graph") if "dsa" in skipped else ()


def document(
    options: argparse.Namespace, sizes: Sizes, children: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything that goes into the file."""
    summary = summarised(children)
    return {
        "quick": options.quick,
        "sizes": asdict(sizes),
        "notes": NOTES,
        "goals": goals(summary, absent_parts(children)),
        "peers": summary,
        "not_measured": failures(children),
        "children": children,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; the exit status."""
    options = parser().parse_args(arguments)
    sizes = sizes_of(options)
    jobs, left_out = plan(options)
    ran = run(jobs, sizes, together=options.together, seconds=options.seconds)
    figures = document(options, sizes, [*left_out, *ran])
    write_result("recorder_quick" if options.quick else "recorder", options.out, figures)
    print(*figures["not_measured"], sep="\n")
    print(text_table(HEAD, rows(figures["peers"])))
    print(text_table(RESIDUAL_HEAD, residual_rows(figures["peers"])))
    print(text_table(("goal", "bound", "measured", "met"), goal_rows(figures["goals"])))
    if options.quick:
        return int(any("error" in child for child in ran))
    return int(bool(missed(figures["goals"])))


if __name__ == "__main__":
    sys.exit(main())
