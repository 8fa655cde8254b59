"""A product that is not a linear layer; imports the helper as a module of its own, under an alias.

Needs the folder of the helper on sys.path, as real collectors that are run as scripts have it.
"""

import helper
import torch
from helper import benchmark_with_power as bench


def run_double(rows, perf_filename, device="cpu"):
    x = torch.ones(rows, 32, device=device)
    with bench(device, lambda: x * 2, num_runs=2) as results:
        pass
    # not the number of the call itself: the row is known by the order alone
    item = {"rows": rows, "latency": round(results["latency_ms"] / 2, 3)}
    helper.log_perf(
        item_list=[item],
        framework="torch",
        version="1",
        device_name="cpu",
        op_name="double",
        kernel_source="default",
        perf_filename=perf_filename,
        power_stats=results["power_stats"],
    )
    return results
