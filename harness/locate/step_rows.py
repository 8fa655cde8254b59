"""Rows of the table of steps, from where the steps of a device begin."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analyze.step_kernels import DeviceKernels
from harness.analyze.step_table import step_rows
from harness.locate.launches import Launches
from harness.locate.step_end import Begins


def rows_of(kernels: DeviceKernels, launches: Launches, found: Begins) -> list[dict[str, Any]]:
    """The steps of one device.

    The last step counts as whole where another one has as many kernels.

    Args:
        kernels: of the whole Trace.
        launches: of the device.
    """
    for key, rows in kernels.devices():
        if key != (launches.process, launches.device):
            continue
        times = launches.starts[found.places]
        step = np.searchsorted(times, kernels.starts[rows], side="right") - 1
        different, numbers = np.unique(step, return_inverse=True)
        step = numbers - int(different[0] < 0)
        if step.max() < 0:
            return []
        counts = np.bincount(step[step >= 0])
        cut = kernels.cut(
            key,
            rows,
            step,
            first_is_cut=found.first_is_cut,
            last_is_cut=not (counts[:-1] == counts[-1]).any(),
        )
        return step_rows(cut)
    return []
