"""``benchmark_with_power``: the collectors' context manager, with samples, graphs and energy."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, MissingDeviceError
from harness.measure.conditions import Reading, read_card
from harness.measure.energy import measure_energy
from harness.measure.events import time_host, time_replays
from harness.measure.graph import CapturedGraph, CaptureError, capture
from harness.measure.hooks import BenchmarkCall, announce
from harness.measure.model import Conditions
from harness.record.regions import region
from harness.record.state import has_traced

if TYPE_CHECKING:
    import torch

MEASURE_POWER = "COLLECTOR_MEASURE_POWER"
MIN_DURATION = "COLLECTOR_POWER_MIN_DURATION"
STACK = 3
"""Frames from a warning to the ``with`` statement: this file, contextlib, the caller."""


@dataclass(frozen=True)
class _Plan:
    """The arguments, with what None stood for resolved."""

    num_warmups: int
    num_runs: int
    repeat_n: int
    measure_power: bool
    power_min_duration: float
    allow_graph_fail: bool
    use_cuda_graph: bool

    def __post_init__(self) -> None:
        for name, least in (("num_warmups", 0), ("num_runs", 1), ("repeat_n", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise InputError(
                    f"{name} is {value!r}", fix=f"give a whole number of at least {least}"
                )
        if not isinstance(self.measure_power, bool):
            raise InputError(
                f"measure_power is {self.measure_power!r}", fix="give True, False or None"
            )
        if not self.power_min_duration > 0:
            raise InputError(
                f"power_min_duration is {self.power_min_duration!r}", fix="give seconds above 0"
            )


@contextmanager
def benchmark_with_power(
    device: torch.device | str | int,
    kernel_func: Callable[[], Any],
    num_warmups: int = 3,
    num_runs: int = 6,
    repeat_n: int = 1,
    measure_power: bool | None = None,
    power_min_duration: float | None = None,
    allow_graph_fail: bool = False,
    use_cuda_graph: bool = True,
) -> Iterator[dict[str, Any]]:
    """Time ``kernel_func``; everything is measured, and freed, before the body starts.

    Signature and the first five keys are those of collector/helper.py in aiconfigurator.

    Args:
        device: torch device, its name or its index. On the CPU there is no graph and no power.
        kernel_func: launches the work; called again and again.
        num_warmups: calls before capture, and again runs before timing.
        num_runs: samples.
        repeat_n: calls in one graph, and so in one sample.
        measure_power: None reads COLLECTOR_MEASURE_POWER (true, 1 or yes).
        power_min_duration: seconds; None reads COLLECTOR_POWER_MIN_DURATION, else 1.0.
        allow_graph_fail: time eagerly, with a warning, what cannot be captured.
        use_cuda_graph: False times eagerly.

    Yields:
        ``latency_ms``: median milliseconds per call (not the mean, which one stray run moves).
        ``power_stats``: ``power`` and ``power_limit`` in W, or None. ``throttled``: whether the
        card reported throttling before or after. ``num_runs_executed``: runs of ``repeat_n``
        calls, timed or for energy. ``used_cuda_graph``. Beyond the collectors': ``samples_ms`` per
        call, ``energy`` (joules per call and how it was read, or None), ``conditions`` (the card
        before and after), ``notes``.

    Raises:
        CaptureError: the capture failed and ``allow_graph_fail`` is False.
        InputError: an argument or environment variable is wrong.
    """
    target = _device(device)
    plan = _Plan(
        num_warmups,
        num_runs,
        repeat_n,
        _power_wanted() if measure_power is None else measure_power,
        _min_duration() if power_min_duration is None else power_min_duration,
        allow_graph_fail,
        use_cuda_graph,
    )
    if target.type == "cuda":
        result = _on_cuda(target, kernel_func, plan)
    else:
        result = _on_cpu(kernel_func, plan)
    for note in result["notes"]:
        warnings.warn(note, RuntimeWarning, stacklevel=STACK)
    announce(BenchmarkCall(kernel_func, target, asdict(plan), result))
    yield result


def _on_cuda(target: torch.device, kernel_func: Callable[[], Any], plan: _Plan) -> dict[str, Any]:
    import torch

    energy, notes = None, []
    with torch.cuda.device(target):
        before = read_card(target)
        graph, problem = _warm_graph(kernel_func, plan)
        run = graph.replay if graph else _repeated(kernel_func, plan.repeat_n)
        try:
            samples = _time(run, plan)
            if plan.measure_power:
                energy, missing = measure_energy(
                    run, target, min_duration_s=plan.power_min_duration
                )
                notes += [f"power is not measured: {missing}"] if missing else []
        finally:
            if graph:
                graph.close()
        torch.cuda.empty_cache()
        after = read_card(target)
    notes += [f"timed eagerly: {problem}"] if problem else []
    found = _result(samples, plan, notes)
    return (
        found
        | _power(energy, plan)
        | _conditions(before, after)
        | {"used_cuda_graph": graph is not None}
    )


def _warm_graph(kernel_func: Callable[[], Any], plan: _Plan) -> tuple[CapturedGraph | None, str]:
    """Warm up eagerly and capture; None and why where that failed and may fail."""
    from ops.sides import Side

    side = Side("the benchmark", call=kernel_func)
    if plan.use_cuda_graph:
        try:
            return capture(side, warmups=plan.num_warmups, calls=plan.repeat_n), ""
        except CaptureError as error:
            if not plan.allow_graph_fail:
                raise
            return None, str(error)
    _repeated(kernel_func, plan.num_warmups)()
    return None, ""


def _repeated(call: Callable[[], Any], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            call()

    return run


def _time(run: Callable[[], Any], plan: _Plan) -> list[float]:
    """Warm up what is timed, then time it; milliseconds per run."""
    import torch

    for _ in range(plan.num_warmups):
        run()
    torch.cuda.synchronize()
    with region("benchmark"):
        return time_replays(run, plan.num_runs)


def _on_cpu(kernel_func: Callable[[], Any], plan: _Plan) -> dict[str, Any]:
    run = _repeated(kernel_func, plan.repeat_n)
    _repeated(kernel_func, plan.num_warmups)()
    with region("benchmark"):
        samples = time_host(run, plan.num_runs)
    note = "timed on the CPU with the host's clock: no CUDA graph, no power"
    nothing: Reading = ({}, "not a CUDA device")
    found = _result(samples, plan, [note])
    return found | _power(None, plan) | _conditions(nothing, nothing) | {"used_cuda_graph": False}


def _result(samples: list[float], plan: _Plan, notes: list[str]) -> dict[str, Any]:
    per_call = [sample / plan.repeat_n for sample in samples]
    return {"latency_ms": median(per_call), "samples_ms": per_call, "notes": notes}


def _power(energy: dict[str, Any] | None, plan: _Plan) -> dict[str, Any]:
    if energy is None:
        return {"power_stats": None, "energy": None, "num_runs_executed": plan.num_runs}
    stats = {"power": energy["power"], "power_limit": energy["power_limit"]}
    per_call = energy | {"energy_j": energy["energy_j"] / plan.repeat_n}
    runs = plan.num_runs + energy["calls"]
    return {"power_stats": stats, "energy": per_call, "num_runs_executed": runs}


def _conditions(before: Reading, after: Reading) -> dict[str, Any]:
    conditions = Conditions(before[0], after[0], has_traced(), {}, before[1] or after[1])
    throttled = any(reading.get("throttled") for reading, _ in (before, after))
    return {"throttled": throttled, "conditions": conditions}


def _device(device: torch.device | str | int) -> torch.device:
    import torch

    try:
        found = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{device!r} is no device", fix="give cuda, cuda:0 or cpu") from error
    if found.type not in ("cuda", "cpu"):
        raise InputError(f"nothing can be timed on {found}", fix="give cuda, cuda:0 or cpu")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise MissingDeviceError(f"there is no {found}", fix="use a machine with a GPU, or cpu")
    return found


def _power_wanted() -> bool:
    return os.environ.get(MEASURE_POWER, "").strip().lower() in ("true", "1", "yes")


def _min_duration() -> float:
    text = os.environ.get(MIN_DURATION, "1.0")
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{MIN_DURATION} is {text!r}", fix="give a number of seconds") from error
