"""An analysis for the terminal: what was read, the tables, the findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analyze.analysis import Analysis
from harness.analyze.rules import Finding, Status
from harness.names import display_name
from harness.report.figure_table import figure, print_figures
from harness.report.summaries import print_summary_table
from harness.report.text import plain
from harness.trace import Trace, TraceInfo
from harness.trace.schema import KINDS, OUTSIDE

_SUMMARIES = {
    "kernel_summary": ("kernel", "kernels by name"),
    "memory_summary": ("memory", "copies and fills"),
    "api_summary": ("API call", "API calls"),
}


def print_analysis(
    path: Path, trace: Trace, analysis: Analysis, console: Console, *, most: int
) -> None:
    """Print one analysis. Lines fit the console's width; colours only on a terminal.

    Args:
        path: the file that was read.
        most: rows of a table.
    """
    _print_head(path, trace, analysis.figures, console)
    for name, table in analysis.tables.items():
        console.print()
        if name in _SUMMARIES:
            _print_summary(name, table, console, most)
        elif name == "large_gaps":
            _print_large_gaps(table, console, most)
        else:
            print_figures(name, table, console, most)
        for note in analysis.notes.get(name, ()):
            _line(console, f"note: {note}")
    for name, findings in analysis.findings.items():
        console.print()
        _print_findings(name, findings, console)
    for part, reason in analysis.unanswered.items():
        console.print()
        _line(console, f"{part}: {reason}", "yellow")


def _print_head(path: Path, trace: Trace, figures: Mapping[str, Any], console: Console) -> None:
    info = trace.info
    _line(console, f"file: {path}")
    for reason in info.incomplete:
        _line(console, f"INCOMPLETE: {reason}", "bold yellow")
    _line(console, f"source: {_source(info)}")
    _line(console, f"GPU: {_gpu(info)}")
    state = "complete" if info.complete else "INCOMPLETE"
    _line(console, f"trace: {_contents(trace)}, {state}")
    wall, idle = figures["wall_ns"], figures["idle_union_ns"]
    share = f" ({100 * idle / wall:.1f} % of wall)" if wall else ""
    _line(
        console,
        f"kernels: {figures['kernels']:,}, sum {_time(figures['total_kernel_ns'])}, wall "
        f"{_time(wall)}, idle {_time(idle)}{share}, idle with copies "
        f"{_time(figures['idle_union_with_copies_ns'])}{_longer(figures)}",
    )
    for note in info.notes:
        _line(console, f"note: {note}")


def _longer(figures: Mapping[str, Any]) -> str:
    """The wall time with copies, where it reads otherwise than that of the kernels."""
    wall = _time(figures["wall_with_copies_ns"])
    return "" if wall == _time(figures["wall_ns"]) else f" of {wall}"


def _source(info: TraceInfo) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(info.versions.items()))
    return info.source + (f" ({versions})" if versions else "")


def _gpu(info: TraceInfo) -> str:
    name = info.gpu.get("name") or info.gpu.get("names")
    if isinstance(name, (list, tuple)):
        return ", ".join(f"{count} x {one}" for one, count in Counter(map(str, name)).items())
    return str(name) if name else "the file does not say"


def _contents(trace: Trace) -> str:
    found = pc.value_counts(trace.activities["kind"].cast(pa.string())).to_pylist()
    kinds = {row["values"]: row["counts"] for row in found}
    counts = [_many(kinds[kind], kind) for kind in KINDS if kind in kinds]
    regions = pc.sum(pc.not_equal(trace.regions["id"], OUTSIDE)).as_py() or 0
    return ", ".join([*counts, _many(regions, "region"), _many(trace.calls.num_rows, "API call")])


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _print_summary(name: str, table: pa.Table, console: Console, most: int) -> None:
    kind, title = _SUMMARIES[name]
    _line(console, title, "bold")
    if not table.num_rows:
        _line(console, f"no {kind} was recorded", "dim")
        return
    *headings, _ = table.column_names
    print_summary_table(table.slice(0, most).rename_columns([*headings, "Name"]), kind, console)
    if table.num_rows > most:
        _line(console, f"... {table.num_rows - most} more names: --top, --json or --out", "dim")


def _print_large_gaps(table: pa.Table, console: Console, most: int) -> None:
    _line(console, "largest gaps", "bold")
    width = console.width - 12
    for row in table.slice(0, most).to_pylist():
        share = figure("share_of_", row["share_of_idle_union"])
        copies = f", copies {_time(row['copies_ns'])} of it" if row["copies_ns"] else ""
        where = "" if row["device"] is None else f" on device {row['device']}"
        _line(console, f"{_time(row['length_ns']):>10}{where}, {share} of its idle time{copies}")
        for word in ("before", "after"):
            name = display_name(row[f"kernel_{word}"], width=max(width, 20))
            _line(console, f"    {word:7}{name}", "cyan")
        calls = [f"{one['calls']} {one['name']} {_time(one['ns'])}" for one in row["calls_during"]]
        _line(console, f"    host   {', '.join(calls) or 'no API call'}", "dim")


def _print_findings(name: str, findings: Sequence[Finding], console: Console) -> None:
    _line(console, name.replace("_", " "), "bold")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        if finding.status is Status.FOUND:
            table.add_row(Text(finding.rule, "bold yellow"), Text(plain(finding.statement)))
            table.add_row("", Text(plain(finding.advice), "dim"))
    if table.row_count:
        console.print(table)
    else:
        _line(console, "nothing stands out")
    clear = [finding.rule for finding in findings if finding.status is Status.CLEAR]
    if clear:
        _line(console, f"not found: {', '.join(clear)}", "dim")
    unknown: dict[str, list[str]] = {}
    for finding in findings:
        if finding.status is Status.UNKNOWN:
            unknown.setdefault(finding.statement, []).append(finding.rule)
    for reason, rules in unknown.items():
        _line(console, f"cannot be told, since {reason}: {', '.join(rules)}", "dim")


def _time(nanoseconds: int) -> str:
    return figure("_ns", nanoseconds)


def _line(console: Console, text: str, style: str = "") -> None:
    # Text and not str: brackets and colons of a name are no markup and no emoji.
    console.print(Text(plain(text), style, overflow="fold"))
