"""Floating-point operations of a kernel out of Nsight Compute's metrics, where they suffice.

Formulas: those of Nsight Compute's own roofline sections (``SpeedOfLight_RooflineChart``,
``SpeedOfLight_HierarchicalHalfRooflineChart`` and ``..TensorRooflineChart`` of its ``sections``
folder).

- Scalar: thread instructions, predicated on, times operations each: 1 per add and mul, 2 per fma,
  twice that for half precision, whose instructions work on pairs (the ``_x2`` and ``_x4`` of ncu's
  derived metrics). Where only ``.sum.per_cycle_elapsed`` is there, times ``smsp__cycles_elapsed``.
- Tensor: ``sm__ops_path_tensor_src_*.sum``, which counts operations, a multiply-add as two: of the
  GEMM [8 x 16384] x [16384 x 7168] on an H200 it says 1,879,048,192 = 2 * 8 * 16384 * 7168.
  Integer paths are no floating-point operations. Metrics for ``sparsity_on`` and ``_off`` are parts
  of the one without, and are taken only where that one is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SCALAR_OPERATIONS = {
    **{f"{kind}{op}": 2 if op == "fma" else 1 for kind in "fd" for op in ("add", "mul", "fma")},
    **{f"h{op}": 4 if op == "fma" else 2 for op in ("add", "mul", "fma")},
}
"""Instruction -> operations that one thread does with it."""

CYCLES = "smsp__cycles_elapsed.avg"
TENSOR_ACTIVE = (
    "sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_elapsed",
    "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed",
    "sm__inst_executed_pipe_tensor.sum",
    "sm__inst_executed_pipe_tensor.avg.pct_of_peak_sustained_active",
)
"""Metrics that are zero where no tensor core worked."""

_TENSOR = re.compile(r"sm__ops_path_tensor_src_(\w+?)(_sparsity_(?:on|off))?\.sum$")
_TYPE = re.compile(r"(?:fp|tf|bf|int)\d+")

Values = dict[str, float | None]


def needed(present: Iterable[str]) -> list[str]:
    """Those of a report's metrics that `scalar_flop` and `tensor_flop` use."""
    wanted = {CYCLES, *TENSOR_ACTIVE}
    wanted |= {name for op in SCALAR_OPERATIONS for name in _scalar_names(op)}
    return [name for name in present if name in wanted or _TENSOR.match(name)]


def _scalar_names(op: str) -> tuple[str, str]:
    base = f"smsp__sass_thread_inst_executed_op_{op}_pred_on.sum"
    return base, f"{base}.per_cycle_elapsed"


def scalar_flop(values: Values) -> float | None:
    """Operations outside the tensor cores; None where no instruction count was collected.

    Precisions that were not collected count as none: ncu collects those that a chart shows.
    """
    found = [
        count * operations
        for op, operations in SCALAR_OPERATIONS.items()
        if (count := _count(values, op)) is not None
    ]
    return sum(found) if found else None


def _count(values: Values, op: str) -> float | None:
    whole, per_cycle = _scalar_names(op)
    count = values.get(whole)
    if count is not None:
        return count
    rate, cycles = values.get(per_cycle), values.get(CYCLES)
    return None if rate is None or cycles is None else rate * cycles


def tensor_flop(values: Values) -> float | None:
    """Operations of the tensor cores; None where they worked, or may have, and were not counted."""
    counted = _tensor_counts(values)
    if counted:
        return sum(counted.values())
    active = [values[name] for name in TENSOR_ACTIVE if values.get(name) is not None]
    return 0.0 if active and not any(active) else None


def _tensor_counts(values: Values) -> dict[str, float]:
    """Path -> operations, each counted once."""
    paths: dict[str, dict[str, float]] = {}
    for name, value in values.items():
        found = _TENSOR.match(name)
        if found and value is not None:
            paths.setdefault(found[1], {})[found[2] or ""] = value
    single = {path for path in paths if len(_sources(path)) == 1}
    return {
        path: parts[""] if "" in parts else sum(parts.values())
        for path, parts in paths.items()
        if not any(one.startswith("int") for one in _sources(path))
        and (path in single or not single)  # fp16_bf16_tf32 holds what fp16 alone holds
        and not any(path.startswith(f"{other}_dst_") for other in paths)
    }


def _sources(path: str) -> list[str]:
    return _TYPE.findall(path.partition("_dst_")[0])
