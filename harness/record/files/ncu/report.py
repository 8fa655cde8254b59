"""What Nsight Compute measured: one row per kernel and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import InputError
from harness.record.files.ncu.units import in_base_units
from harness.trace.dims import DIM3_COLUMN

_TEXT = pa.dictionary(pa.int32(), pa.string())

KERNEL_FIELDS = [
    pa.field("kernel", pa.int32()),  # number in the file, from 0: what tells launches apart
    pa.field("id", pa.int64()),  # ncu's ID, which starts again in each report
    pa.field("name", _TEXT),
    pa.field("grid", DIM3_COLUMN),
    pa.field("block", DIM3_COLUMN),
    pa.field("process", pa.int64()),
    pa.field("context", pa.int64()),
    pa.field("stream", pa.int64()),
    pa.field("device", pa.int64()),
    pa.field("cc", _TEXT),  # compute capability
]

METRICS = pa.schema(
    [
        *KERNEL_FIELDS,
        pa.field("section", _TEXT),  # of the details page; null on the raw page
        pa.field("metric", _TEXT),
        pa.field("unit", _TEXT),
        pa.field("value", pa.float64()),  # null: no number (a name, nan, n/a, not collected)
        pa.field("text", _TEXT),  # as printed
    ]
)
"""Columns of `NcuReport.metrics`; values in the unit of their row. Null: not in the file."""

RULES = pa.schema(
    [
        pa.field("kernel", pa.int32()),
        pa.field("section", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("type", pa.string()),  # OPT, WRN, INF, ...
        pa.field("description", pa.string()),
        pa.field("speedup_type", pa.string()),  # global, local
        pa.field("speedup_pct", pa.float64()),  # Nsight Compute's estimate
    ]
)
"""Columns of `NcuReport.rules`: what Nsight Compute's own rules say (details page only)."""


SECTION_MARK = ": "
"""Between section and metric in names that `NcuReport.pivot` takes."""


@dataclass(frozen=True, eq=False)
class NcuReport:
    """The metrics of the kernels of one Nsight Compute report.

    Attributes:
        metrics: one row per kernel and metric; columns `METRICS`.
        rules: one row per rule and kernel; columns `RULES`.
        page: ``raw`` or ``details``.
        versions: programs that read the report, by name.
        incomplete: why not everything that ran is in it; empty when it is.
        notes: what a reader should see (ncu's warnings, how numbers were read, lines left out).
    """

    metrics: pa.Table
    rules: pa.Table = field(default_factory=RULES.empty_table)
    page: str = "raw"
    versions: Mapping[str, str] = field(default_factory=dict)
    incomplete: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kernels(self) -> pa.Table:
        """One row per kernel: the columns before ``section``, in order of the file."""
        first = pc.indices_nonzero(_is_first(self.metrics["kernel"]))
        return self.metrics.select([one.name for one in KERNEL_FIELDS]).take(first)

    def pivot(self, metrics: Sequence[str]) -> pa.Table:
        """Some metrics as columns, one row per kernel in the order of `kernels`.

        Args:
            metrics: exact names; of the details page also ``Section: Metric``,
                since a name may stand in several sections.

        Returns:
            ``kernel`` and one float column per metric in base units (`in_base_units`); null where
            a kernel has it not.

        Raises:
            InputError: a name is asked for twice.
        """
        if len(set(metrics)) != len(metrics):
            raise InputError("a metric is asked for twice", fix="name each metric once")
        kernels = self.kernels["kernel"].to_pylist()
        values = self._values(metrics)
        arrays: dict[str, Any] = {"kernel": pa.array(kernels, pa.int32())}
        for name in metrics:
            found = values[name]
            arrays[name] = pa.array([found.get(kernel) for kernel in kernels], pa.float64())
        return pa.table(arrays)

    def _values(self, names: Sequence[str]) -> dict[str, dict[int, float | None]]:
        """Name -> kernel -> value in base units; the first row of a kernel counts."""
        bare = {name.rpartition(SECTION_MARK)[2] for name in names}
        wanted = pc.is_in(self.metrics["metric"].cast(pa.string()), pa.array(sorted(bare)))
        rows = self.metrics.filter(wanted).select(["kernel", "section", "metric", "unit", "value"])
        found: dict[str, dict[int, float | None]] = {name: {} for name in names}
        for row in rows.to_pylist():
            for name in (row["metric"], f"{row['section']}{SECTION_MARK}{row['metric']}"):
                if name in found:
                    value, _ = in_base_units(row["value"], row["unit"] or "")
                    found[name].setdefault(row["kernel"], value)
        return found

    def __repr__(self) -> str:
        names = len(pc.unique(self.metrics["metric"].cast(pa.string())))
        state = "complete" if not self.incomplete else f"INCOMPLETE: {'; '.join(self.incomplete)}"
        return f"<NcuReport {self.page}: {self.kernels.num_rows} kernels, {names} metrics; {state}>"


def _is_first(column: pa.ChunkedArray) -> pa.Array:
    numbers = column.to_numpy()
    first = pa.array([True] * min(len(numbers), 1), pa.bool_())
    later = pa.array(numbers[1:] != numbers[:-1], pa.bool_())
    return pa.concat_arrays([first, later])
