"""Which device an activity ran on, where processes number devices by themselves.

CUDA numbers the devices that a process sees (CUDA_VISIBLE_DEVICES), so device 0 of two processes
may be two GPUs. A number that one process uses is a device; of one that several use, each process
has a device of its own, unless the Trace says that the numbers are the machine's.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from harness.analyze.selection import DEVICE_KINDS, Groups, grouped, timed
from harness.trace import Trace
from harness.trace.info import MACHINE_NUMBERS

Numbers = frozenset[int | None]
"""Numbers of devices; None stands for what is not known."""

_COLUMNS = ["kind", "start_ns", "end_ns", "device", "process"]


def shared_numbers(trace: Trace) -> Numbers:
    """The device numbers that several processes use, each perhaps for a device of its own."""
    if MACHINE_NUMBERS in trace.info.notes:
        return frozenset()
    table = timed(trace.activities.select(_COLUMNS), *DEVICE_KINDS)
    users = [pair for pair in grouped(table, "device", "process").labels if pair[1] is not None]
    numbers = [device for device, _ in users]
    return frozenset(device for device in numbers if numbers.count(device) > 1)


def device_groups(table: pa.Table, shared: Numbers) -> Groups:
    """Group rows by device: labels are (device, process), in their order, unknown values last.

    The process is None where the number alone says which device it is.

    Args:
        table: has the columns ``device`` and ``process``.
        shared: what `shared_numbers` says of the Trace.
    """
    pairs = grouped(table, "device", "process")
    labels = [(device, process if device in shared else None) for device, process in pairs.labels]
    place = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    if len(place) == len(labels):
        return Groups([*place], pairs.of_row)
    return Groups([*place], np.array([place[label] for label in labels])[pairs.of_row])


def device_notes(shared: Numbers) -> tuple[str, ...]:
    """What is to be said where processes share device numbers; else nothing."""
    if not shared:
        return ()
    numbers = sorted(number for number in shared if number is not None)
    named = ", ".join([*map(str, numbers), *(["unknown"] if None in shared else [])])
    return (
        f"several processes use device number {named} and may each mean another GPU, so those of "
        "each process are taken for a device of its own",
    )
