"""Which GPU of the machine a process means by a device number.

CUDA numbers devices for each process by itself (CUDA_VISIBLE_DEVICES), and so do an export's rows.
Its table TARGET_INFO_CUDA_DEVICE, since release 2024.6, says which GPU that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record.files.nsys.database import Database, quoted
from harness.record.files.nsys.ids import process_of

Array = npt.NDArray[Any]

DEVICES = "TARGET_INFO_CUDA_DEVICE"


def renumbering(database: Database) -> dict[tuple[int, int], int]:
    """(process id, its device) -> GPU of the machine, where the two numbers differ."""
    if not {"gpuId", "cudaId", "pid"} <= set(database.columns.get(DEVICES, ())):
        return {}
    rows = database.rows(
        f"SELECT pid, cudaId AS device, gpuId AS gpu FROM {quoted(DEVICES)} WHERE"
        " typeof(pid) = 'integer' AND typeof(cudaId) = 'integer' AND gpuId BETWEEN 0 AND 65535"
        " AND typeof(gpuId) = 'integer' AND gpuId <> cudaId"
    )
    return {(row["pid"], row["device"]): row["gpu"] for row in rows}


def renumbered(devices: Array, processes: Array, gpus: dict[tuple[int, int], int]) -> Array:
    """Device numbers as those of the machine.

    Args:
        devices: shape (n,).
        processes: ``globalPid``, shape (n,).
        gpus: as `renumbering` returns it.
    """
    changed = devices.copy()
    ids = process_of(processes)
    for (process, device), gpu in gpus.items():
        changed[(ids == process) & (devices == device)] = gpu
    return changed


def shared_numbers(devices: Array, processes: Array) -> list[int]:
    """Device numbers that more than one process uses."""
    pairs = np.unique(np.stack([devices, processes], axis=1), axis=0)
    numbers, count = np.unique(pairs[:, 0], return_counts=True)
    found: list[int] = numbers[count > 1].tolist()
    return found
