"""A collector of DSA latencies, as performance databases have them, with alignment in one line.

    python examples/collect_dsa.py --mode context --batch_sizes 1 --seq_lens 4096 --tp 8

Each combination of sizes is benchmarked alone, as a mock, and becomes a row of a CSV. The ``with
align_op`` line compares every mock with the layer of the running model; a file beside the CSV
(``dsa_context_perf.txt.align.jsonl``) says of each row whether it is what serving runs. Exits with
0 when all rows are aligned, 1 when one diverged, 3 when it could not be decided.
"""

import argparse
import csv
import itertools
import sys
from pathlib import Path

import torch

from harness import align_op, benchmark_with_power
from harness.errors import HarnessError, MissingDeviceError
from ops.case import Case, resolve_sizes
from ops.registry import choose_framework, operator

TOKENS_ON_CPU = 256
DSA = operator("dsa")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of the collectors; ``--seq_lens`` are KV lengths in generation."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mode", choices=("context", "generation"), default="context")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1])
    parser.add_argument("--seq_lens", type=int, nargs="+", default=[4096])
    parser.add_argument("--tp", "--tp_sizes", type=int, nargs="+", default=[8])
    parser.add_argument("--framework", default="auto", help="auto, vllm, transformers, ...")
    parser.add_argument("--device", default="cuda", help="cpu runs at a reduced size, and says so")
    parser.add_argument("--output", default="", help="CSV; default dsa_<mode>_perf.txt")
    parser.add_argument("--compare", choices=("end", "each"), default="end")
    return parser.parse_args(argv)


def log_perf(
    item_list: list[dict],
    framework: str,
    version: str,
    device_name: str,
    op_name: str,
    kernel_source: str,
    perf_filename: str,
    power_stats: dict | None = None,
) -> None:
    """Append rows to a CSV, whose header is that of its first row."""
    base = {"framework": framework, "version": version, "device": device_name}
    base |= {"op_name": op_name, "kernel_source": kernel_source}
    rows = [base | item | (power_stats or {}) for item in item_list]
    path = Path(perf_filename)
    fresh = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if fresh:
            writer.writeheader()
        writer.writerows(rows)


def cases_of(options: argparse.Namespace) -> list[Case]:
    """Every combination of sizes; on the CPU with as many tokens as it computes in seconds."""
    if options.device != "cpu" and not torch.cuda.is_available():
        raise MissingDeviceError(
            f"there is no {options.device} device", fix="use --device cpu for a reduced run"
        )
    cases = []
    for tp, batch, length in itertools.product(options.tp, options.batch_sizes, options.seq_lens):
        tokens = min(length, TOKENS_ON_CPU) if options.device == "cpu" else length
        if tokens != length:
            print(f"REDUCED for the CPU: {length} tokens -> {tokens}, timed by wall clock")
        seq_len, kv_len = resolve_sizes(options.mode, tokens, None)
        cases.append(Case("dsa", options.mode, tp, batch, seq_len, kv_len))
    return list(dict.fromkeys(cases))


def benchmark(case: Case, options: argparse.Namespace) -> None:
    """One row: the operator alone, with inputs of its own, as the framework builds it."""
    adapter, _ = choose_framework(DSA, options.framework)
    sides = adapter.build(DSA, case, options.device)
    mock = sides.mock

    def kernel_func() -> torch.Tensor:
        mock.reset()
        with mock.context():
            return mock.output(mock.call())

    with benchmark_with_power(options.device, kernel_func) as results:
        pass
    sizes = {"batch_size": case.batch_size, "isl": case.seq_len, "kv_len": case.kv_len}
    log_perf(
        [{**sizes, "tp_size": case.tp, "latency": results["latency_ms"]}],
        framework=adapter.name,
        version=adapter.versions()[adapter.name],
        device_name="cpu" if options.device == "cpu" else torch.cuda.get_device_name(),
        op_name=f"dsa_{case.phase}_module",
        kernel_source="default",
        perf_filename=options.output or f"dsa_{options.mode}_perf.txt",
        power_stats=results["power_stats"],
    )
    print(f"{case}: {results['latency_ms']:.4f} ms, CUDA graph {results['used_cuda_graph']}")


def main(options: argparse.Namespace) -> int:
    """Collect; the exit code is that of the worst verdict."""
    cases = cases_of(options)
    now: dict[str, int | str] = {}
    with align_op(
        "dsa",
        case=lambda call: now,
        framework=options.framework,
        patch=__name__,
        compare=options.compare,
    ) as alignment:
        for case in cases:
            now = {name: getattr(case, name) for name in ("tp", "phase", "batch_size", "kv_len")}
            now |= {"seq_len": case.seq_len} if case.phase == "context" else {}
            benchmark(case, options)
    for result in alignment.results:
        print(f"{result.verdict} - {result.summary}")
    return alignment.verdict.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main(parse()))
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
