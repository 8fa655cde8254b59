"""Small copies of Nsight Systems exports for tests, and how to damage them."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data" / "nsys"
EXPECTED = json.loads((DATA / "expected.json").read_text())
NAMES = sorted(EXPECTED)
NO_KERNELS = "nsys2022.4_titanrtx_nvtx_NO_KERNELS.sqlite"
WITH_KERNELS = [name for name in NAMES if name != NO_KERNELS]
GRAPH_NODES = "nsys2025.3_h200_vllm_dsa_graph_nodes.sqlite"
GRAPH_TRACE = "nsys2025.5_rtx3060_graphtrace.sqlite"
TWO_GPUS = "nsys2026.2_h100_2gpu_nvtx.sqlite"


@cache
def content(name: str) -> bytes:
    """An export as it was."""
    return gzip.decompress((DATA / f"{name}.gz").read_bytes())


def export(name: str, folder: Path) -> Path:
    """An export as a file that may be changed."""
    target = folder / name
    target.write_bytes(content(name))
    return target


def changed(path: Path, *statements: str) -> Path:
    """The file after SQL statements."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def copy(path: Path, name: str) -> Path:
    """A copy beside the file."""
    return Path(shutil.copy(path, path.with_name(name)))
