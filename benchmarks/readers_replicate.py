"""A large export made of a small one: its events again and again, later each time."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"
CALLS = "CUPTI_ACTIVITY_KIND_RUNTIME"
EVENTS = (KERNELS, CALLS, "CUPTI_ACTIVITY_KIND_MEMCPY", "NVTX_EVENTS")


def replicate(source: Path, kernels: int, folder: Path) -> Path:
    """A copy with this many kernels, and with as many times the calls, copies and NVTX ranges.

    Times and correlation ids go on from one copy to the next. A file that is there is kept.
    """
    target = folder / f"{source.stem}_{kernels}.sqlite"
    if target.exists():
        return target
    unfinished = target.with_suffix(".part")
    shutil.copyfile(source, unfinished)
    with closing(sqlite3.connect(unfinished)) as file:
        file.execute("PRAGMA journal_mode=OFF")
        file.execute("PRAGMA synchronous=OFF")
        (there,) = file.execute(f"SELECT count(*) FROM {KERNELS}").fetchone()
        later = _later(file)
        for table in EVENTS:
            wanted = kernels - there if table == KERNELS else -1
            _repeat(file, table, later, -(-kernels // there) - 1, wanted)
        file.commit()
    unfinished.rename(target)
    return target


def _later(file: sqlite3.Connection) -> dict[str, int]:
    """What each copy adds, by column."""
    spans = [file.execute(f'SELECT min(start), max("end") FROM {t}').fetchone()
             for t in (KERNELS, CALLS)]  # fmt: skip
    span = max(end for _, end in spans) - min(start for start, _ in spans) + 1000
    (ids,) = file.execute(f"SELECT max(correlationId) + 1 FROM {CALLS}").fetchone()
    return {"start": span, "end": span, "correlationId": ids}


def _repeat(
    file: sqlite3.Connection, table: str, later: dict[str, int], copies: int, rows: int
) -> None:
    columns = [row[1] for row in file.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(
        f'"{name}" + copy * {later[name]}' if name in later else f'"{name}"' for name in columns
    )
    file.execute(f"CREATE TEMP TABLE original AS SELECT * FROM {table} ORDER BY start")
    file.execute(
        f"INSERT INTO {table} WITH RECURSIVE copies(copy) AS"
        f" (SELECT 1 UNION ALL SELECT copy + 1 FROM copies WHERE copy < {copies})"
        f" SELECT {values} FROM copies CROSS JOIN temp.original LIMIT {rows}"
    )
    file.execute("DROP TABLE temp.original")
