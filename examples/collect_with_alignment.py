"""A collector's loop with alignment: one ``with`` line around ``benchmark_with_power``.

Each call of ``benchmark_with_power`` counts as a mock; the operator builds the reference from the
case, and both are compared when the block ends.

    python examples/collect_with_alignment.py
"""

import torch

from harness import align_op, benchmark_with_power
from ops.case import Case
from ops.registry import adapter, operator

device = "cuda" if torch.cuda.is_available() else "cpu"
kv_len = 4096 if device == "cuda" else 256

# What a collector does today: build the operator alone, with inputs of its own.
case = Case("dsa", "generation", tp=8, batch_size=1, seq_len=1, kv_len=kv_len)
mock = adapter("transformers").build(operator("dsa"), case, device).mock


def kernel_func() -> torch.Tensor:
    """One call from the same KV state each time."""
    mock.reset()
    with mock.context():
        return mock.output(mock.call())


with (
    align_op("dsa", tp=8, phase="generation", kv_len=kv_len, framework="transformers") as alignment,
    benchmark_with_power(device, kernel_func) as result,
):
    print(f"latency {result['latency_ms']:.3f} ms, graph {result['used_cuda_graph']}")

print(alignment.verdict, "-", alignment.results[0].summary)
