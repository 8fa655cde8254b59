"""One process: the same with HolisticTraceAnalysis, in an environment of its own. Prints JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from importlib.metadata import version

from benchmarks.process_memory import peak_rss_mib


def main() -> None:
    """Load one trace as rank 0 and ask for its breakdown of kernels, without drawing it."""
    logging.disable(logging.WARNING)
    began = time.perf_counter()
    from hta.trace_analysis import TraceAnalysis

    imported = time.perf_counter()
    analysis = TraceAnalysis(trace_files={0: sys.argv[1]}, trace_dir="")
    loaded = time.perf_counter()
    # As many kernels of each type as there are: its default keeps 10 and pools the rest.
    _, kernels = analysis.get_gpu_kernel_breakdown(visualize=False, num_kernels=1_000_000)
    done = time.perf_counter()
    frame = analysis.t.get_trace(0)
    print(
        json.dumps(
            {
                "version": version("HolisticTraceAnalysis"),
                "import_s": imported - began,
                "load_s": loaded - imported,
                "breakdown_s": done - loaded,
                "peak_rss_mib": peak_rss_mib(),
                "events": len(frame),
                "names": len(kernels),
                "total_kernel_us": float(kernels["sum (us)"].sum()),
            }
        )
    )


if __name__ == "__main__":
    main()
