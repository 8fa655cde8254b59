"""A linear layer; binds the helper's functions at import, under the package's name."""

import torch

from collector.helper import benchmark_with_power, log_perf

WIDTH = 32


def device_of(name):
    return torch.device(name)


def run_linear(rows, perf_filename, device="cpu"):
    linear = torch.nn.Linear(WIDTH, WIDTH, device=device)
    x = torch.ones(rows, WIDTH, device=device)

    def kernel_func():
        with torch.inference_mode():
            return linear(x)

    with benchmark_with_power(device_of(device), kernel_func, num_runs=2) as results:
        pass
    item = {"rows": rows, "width": WIDTH, "latency": results["latency_ms"]}
    log_perf([item], "torch", "1", "cpu", "linear", "default", perf_filename)
    return results
