"""One process: read a torch.profiler trace and sum up its kernels. Prints JSON.

    python -m benchmarks.readers_kineto_ours TRACE [--all-ranges]

With ``--all-ranges`` ATen calls and Python functions are kept too, as HolisticTraceAnalysis does.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.process_memory import peak_rss_mib


def main() -> None:
    """Measure from before the imports, as a user waits for them too."""
    began = time.perf_counter()
    from harness.analyze.summaries import kernel_summary
    from harness.record.files.kineto import RANGES, read_kineto

    imported = time.perf_counter()
    every = "--all-ranges" in sys.argv[2:]
    trace = read_kineto(sys.argv[1], ranges=RANGES if every else RANGES[:1])
    loaded = time.perf_counter()
    summary = kernel_summary(trace)
    done = time.perf_counter()
    print(
        json.dumps(
            {
                "import_s": imported - began,
                "load_s": loaded - imported,
                "breakdown_s": done - loaded,
                "peak_rss_mib": peak_rss_mib(),
                "regions": trace.regions.num_rows,
                "kernels": sum(summary["Instances"].to_pylist()),
                "total_kernel_us": sum(summary["Total Time (ns)"].to_pylist()) / 1000,
            }
        )
    )


if __name__ == "__main__":
    main()
