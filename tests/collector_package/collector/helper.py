"""The collector's helper: one mean over all runs, and rows appended to a CSV."""

import csv
import time
from contextlib import contextmanager
from pathlib import Path

EXIT_CODE_RESTART = 10
CALLS = []
"""Kernels that were benchmarked by this function and no other."""


@contextmanager
def benchmark_with_power(
    device,
    kernel_func,
    num_warmups=3,
    num_runs=6,
    repeat_n=1,
    measure_power=None,
    power_min_duration=None,
    allow_graph_fail=False,
    use_cuda_graph=True,
):
    """Time a kernel on the CPU."""
    CALLS.append(kernel_func)
    for _ in range(num_warmups):
        kernel_func()
    start = time.perf_counter()
    for _ in range(num_runs * repeat_n):
        kernel_func()
    yield {
        "latency_ms": (time.perf_counter() - start) * 1e3 / num_runs / repeat_n,
        "power_stats": None,
        "throttled": False,
        "num_runs_executed": num_runs,
        "used_cuda_graph": False,
    }


def log_perf(
    item_list,
    framework,
    version,
    device_name,
    op_name,
    kernel_source,
    perf_filename,
    power_stats=None,
):
    """Append rows; the first row's names become the header."""
    path = Path(perf_filename)
    base = {
        "framework": framework,
        "version": version,
        "device": device_name,
        "op_name": op_name,
        "kernel_source": kernel_source,
    }
    rows = [base | item | (power_stats or {}) for item in item_list]
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if fresh:
            writer.writeheader()
        writer.writerows(rows)
