"""The arguments of ``benchmark_with_power``, with what None stands for resolved."""

from __future__ import annotations

import math
import operator
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, MissingDeviceError

if TYPE_CHECKING:
    import torch

MEASURE_POWER = "COLLECTOR_MEASURE_POWER"
MIN_DURATION = "COLLECTOR_POWER_MIN_DURATION"


class WrongArgumentError(InputError, ValueError):
    """A number that cannot be meant; a ValueError too, as collectors get from ``float(text)``."""


@dataclass(frozen=True)
class Plan:
    """How a benchmark is taken; the attributes are `benchmark_with_power`'s arguments."""

    num_warmups: int
    num_runs: int
    repeat_n: int
    measure_power: bool
    power_min_duration: float
    allow_graph_fail: bool
    use_cuda_graph: bool


def make_plan(
    *,
    num_warmups: int,
    num_runs: int,
    repeat_n: int,
    measure_power: bool | None,
    power_min_duration: float | None,
    allow_graph_fail: bool,
    use_cuda_graph: bool,
) -> Plan:
    """Resolve None from the environment.

    Raises:
        WrongArgumentError: a count is too small or no whole number, or the duration is negative,
            infinite or no number.
    """
    duration = _duration() if power_min_duration is None else power_min_duration
    if not 0 <= duration < math.inf:
        raise WrongArgumentError(
            f"power_min_duration is {duration!r}", fix="give seconds of at least 0"
        )
    return Plan(
        num_warmups=_count("num_warmups", num_warmups, 0),
        num_runs=_count("num_runs", num_runs, 1),
        repeat_n=_count("repeat_n", repeat_n, 1),
        measure_power=bool(_power_wanted() if measure_power is None else measure_power),
        power_min_duration=float(duration),
        allow_graph_fail=bool(allow_graph_fail),
        use_cuda_graph=bool(use_cuda_graph),
    )


def find_device(device: torch.device | str | int) -> torch.device:
    """The device that is meant; an index is that of a CUDA device as torch counts them.

    Raises:
        InputError: it is no device, or one that nothing can be timed on.
        MissingDeviceError: it is a CUDA device and there is none.
    """
    import torch

    try:
        if isinstance(device, (str, torch.device)):
            found = torch.device(device)
        else:
            found = torch.device("cuda", operator.index(device))
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{device!r} is no device", fix="give cuda, cuda:0 or cpu") from error
    if found.type not in ("cuda", "cpu"):
        raise InputError(f"nothing can be timed on {found}", fix="give cuda, cuda:0 or cpu")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise MissingDeviceError(f"there is no {found}", fix="use a machine with a GPU, or cpu")
    return found


def _count(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)  # NumPy's integers too
    except TypeError:
        number = least - 1
    if number < least:
        raise WrongArgumentError(
            f"{name} is {value!r}", fix=f"give a whole number of at least {least}"
        )
    return number


def _power_wanted() -> bool:
    return os.environ.get(MEASURE_POWER, "").strip().lower() in ("true", "1", "yes")


def _duration() -> float:
    text = os.environ.get(MIN_DURATION, "1.0")
    try:
        return float(text)
    except ValueError as error:
        raise WrongArgumentError(
            f"{MIN_DURATION} is {text!r}", fix="give a number of seconds"
        ) from error
