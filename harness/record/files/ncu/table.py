"""Rows of either page of Nsight Compute as columns of `harness.record.files.ncu.report`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from harness.errors import TraceFormatError
from harness.record.files.ncu.numbers import NumberStyle
from harness.record.files.ncu.report import METRICS, RULES
from harness.trace.columns import column_of

IDENTITY = {
    "ID": "id",
    "Kernel Name": "name",
    "Process ID": "process",
    "Context": "context",
    "Stream": "stream",
    "Device": "device",
    "CC": "cc",
    "Grid Size": "grid",
    "Block Size": "block",
}
"""Heading -> column of a kernel."""

OTHER_IDENTITY = frozenset(("Process Name", "Host Name", "Kernel Time", "Invocations"))
"""Headings that name the launch and are no metric; host names are private and not kept."""

_WHOLE = re.compile(r"[+-]?\d{1,18}")
_DIM = re.compile(r"\d{1,10}")
_LIMITS = (1 << 31, 1 << 16, 1 << 16)

Cells = dict[str, str]


@dataclass
class Rows:
    """Columns of both tables while they grow."""

    metrics: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in METRICS.names}
    )
    rules: list[dict[str, Any]] = field(default_factory=list)
    kernels: int = 0

    def kernel(self, cells: Cells) -> dict[str, Any]:
        """Number the next kernel and read what names it."""
        number, self.kernels = self.kernels, self.kernels + 1
        found: dict[str, Any] = {"kernel": number}
        for heading, column in IDENTITY.items():
            text = cells.get(heading)
            found[column] = _identity(column, text) if text else None
        return found

    def metric(self, kernel: dict[str, Any], name: str, unit: str, text: str, **more: Any) -> None:
        """Add a metric of a kernel; ``value`` and ``section`` in ``more``."""
        row = {**kernel, "metric": name, "unit": unit, "text": text, **more}
        for column, values in self.metrics.items():
            values.append(row.get(column))

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """Both tables, of their schemas.

        Raises:
            TraceFormatError: a value does not fit.
        """
        try:
            columns = [column_of(self.metrics[one.name], one.type) for one in METRICS]
            rules = pa.Table.from_pylist(self.rules, schema=RULES)
            return pa.Table.from_arrays(columns, schema=METRICS), rules
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, OverflowError) as error:
            raise TraceFormatError(
                f"the CSV of Nsight Compute holds values that no kernel has ({error})",
                fix="export it again: ncu --import REPORT --csv --page raw",
            ) from error


def _identity(column: str, text: str) -> Any:
    if column in ("grid", "block"):
        return dim3(text)
    if column in ("name", "cc"):
        return text
    return int(text) if _WHOLE.fullmatch(text.strip()) else None


def dim3(text: str) -> list[int] | None:
    """``(1024, 1, 1)``, with whatever between the numbers; None where it is no dim3."""
    parts = [int(found) for found in _DIM.findall(text)]
    fits = len(parts) == 3 and all(n < most for n, most in zip(parts, _LIMITS, strict=True))
    return parts if fits else None


def add_raw(
    rows: Rows, header: list[str], units: list[str], row: list[str], style: NumberStyle
) -> None:
    """A row of the raw page: one kernel, each further column a metric."""
    cells = dict(zip(header, row, strict=False))
    kernel = rows.kernel(cells)
    for axis in ("grid", "block"):
        kernel[axis] = kernel[axis] or _from_metrics(cells, axis, style)
    for heading, unit, text in zip(header, units, row, strict=False):
        if heading not in IDENTITY and heading not in OTHER_IDENTITY:
            rows.metric(kernel, heading, unit, text, value=style.parse(text))


def _from_metrics(cells: Cells, axis: str, style: NumberStyle) -> list[int] | None:
    found = [style.parse(cells.get(f"launch__{axis}_dim_{one}", "")) for one in "xyz"]
    text = " ".join("" if number is None else str(int(number)) for number in found)
    return dim3(text)


def same_kernel(one: Cells, other: Cells) -> bool:
    """Whether two rows of the details page are of the same launch."""
    return all(one.get(heading) == other.get(heading) for heading in IDENTITY)


def add_detail(rows: Rows, kernel: dict[str, Any], cells: Cells, style: NumberStyle) -> None:
    """A row of the details page: a metric, or what a rule says."""
    section = cells.get("Section Name")
    if cells.get("Metric Name"):
        text = cells.get("Metric Value", "")
        unit = cells.get("Metric Unit", "")
        name = cells["Metric Name"]
        rows.metric(kernel, name, unit, text, value=style.parse(text), section=section)
    elif cells.get("Rule Name"):
        speedup = cells.get("Estimated Speedup") or ""
        rows.rules.append(
            {
                "kernel": kernel["kernel"],
                "section": section,
                "rule": cells["Rule Name"],
                "type": cells.get("Rule Type") or None,
                "description": cells.get("Rule Description") or None,
                "speedup_type": cells.get("Estimated Speedup Type") or None,
                "speedup_pct": style.parse(speedup),
            }
        )
