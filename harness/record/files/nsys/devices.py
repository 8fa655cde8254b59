"""Which GPU of the machine a process means by a device number.

CUDA numbers devices for each process by itself (CUDA_VISIBLE_DEVICES), and so do an export's rows.
The table TARGET_INFO_CUDA_DEVICE says which GPU that is, where an export has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record.files.nsys.database import Database, quoted
from harness.record.files.nsys.ids import process_of

Array = npt.NDArray[Any]

DEVICES = "TARGET_INFO_CUDA_DEVICE"


def machine_numbers(database: Database) -> dict[tuple[int, int], int]:
    """(process id, its device) -> GPU of the machine."""
    if not {"gpuId", "cudaId", "pid"} <= set(database.columns.get(DEVICES, ())):
        return {}
    rows = database.rows(
        f"SELECT pid, cudaId AS device, gpuId AS gpu FROM {quoted(DEVICES)} WHERE"
        " typeof(pid) = 'integer' AND typeof(cudaId) = 'integer' AND gpuId BETWEEN 0 AND 65535"
        " AND typeof(gpuId) = 'integer'"
    )
    return {(row["pid"], row["device"]): row["gpu"] for row in rows}


def renumbered(devices: Array, processes: Array, gpus: dict[tuple[int, int], int]) -> Array | None:
    """Device numbers as those of the machine; None where one of them is not known.

    Args:
        devices: shape (n,).
        processes: ``globalPid``, shape (n,).
        gpus: as `machine_numbers` returns it.
    """
    ids = process_of(processes)
    used = {(int(one), int(other)) for one, other in np.unique(np.stack([ids, devices], 1), axis=0)}
    if not used <= set(gpus):
        return None
    changed = devices.copy()
    for process, device in used:
        if gpus[process, device] != device:
            changed[(ids == process) & (devices == device)] = gpus[process, device]
    return changed


def shared_numbers(devices: Array, processes: Array) -> list[int]:
    """Device numbers that more than one process uses."""
    pairs = np.unique(np.stack([devices, processes], axis=1), axis=0)
    numbers, count = np.unique(pairs[:, 0], return_counts=True)
    found: list[int] = numbers[count > 1].tolist()
    return found
