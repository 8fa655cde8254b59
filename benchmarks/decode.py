"""Cost of decoding: 20,000 and more raw records of an eager stream of tiny kernels.

python -m benchmarks.decode --out OUT
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.record.cupti import CuptiRecorder
from harness.record.regions import region

LAUNCHES = 7_000
"""Each leaves a kernel, an API and a correlation record: 21,000 in all."""


BOUND_US = 2.0
"""What decoding a raw record may cost, in µs."""


def launch_us(tensor: torch.Tensor) -> float:
    """Host time of one launch, in µs."""
    torch.cuda.synchronize()
    start = time.perf_counter_ns()
    for _ in range(LAUNCHES):
        tensor.add_(1)
    spent = (time.perf_counter_ns() - start) / 1e3 / LAUNCHES
    torch.cuda.synchronize()
    return spent


def main() -> None:
    """Record the stream several times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    tensor = torch.zeros(1, device="cuda")
    launch_us(tensor)
    untraced = launch_us(tensor)
    runs = []
    for _ in range(arguments.repeats):
        with CuptiRecorder().record() as recording, region("stream"):
            traced = launch_us(tensor)
        info = recording.trace.info
        runs.append(
            {
                **info.perturbation,
                "launch_us_traced": traced,
                "kernels": len(recording.trace),
                "complete": info.complete,
                "dropped_records": info.dropped_records,
                "unattributed": info.unattributed,
            }
        )
    decode = [run["decode_us_per_record"] for run in runs]
    figures = {
        "launch_us_untraced": untraced,
        "decode_us_per_record_median": statistics.median(decode),
        "decode_us_per_record_max": max(decode),
        "all_complete": all(run["complete"] for run in runs),
        "runs": runs,
    }
    print({key: value for key, value in figures.items() if key != "runs"})
    write_result("decode", arguments.out, figures)
    sys.exit(not figures["all_complete"] or figures["decode_us_per_record_median"] >= BOUND_US)


if __name__ == "__main__":
    main()
