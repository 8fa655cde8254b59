"""An alignment for the terminal: which recorder, the kernels, the checklist, one verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.align.model import Alignment, CheckResult, Status, Verdict
from harness.report.integration import integration_lines
from harness.report.kernels import EVIDENCE, kernel_remarks, kernel_table
from harness.report.text import case_line, case_short, plain, recorder_line

MOST_DETAILS = 10
"""Lines under one check; checks limit themselves to fewer."""

_STATUS_STYLE = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.KNOWN: "yellow",
    Status.INCONCLUSIVE: "yellow",
    Status.SKIPPED: "dim",
}
_EXPLAINED = (Status.FAIL, Status.INCONCLUSIVE, Status.KNOWN)


def print_alignment(alignment: Alignment, console: Console) -> None:
    """Print one result. Lines fit the console's width; colours only on a terminal.

    Order: recorder, framework, case, kernel table, checklist, notes, verdict.
    """
    _line(console, recorder_line(alignment.recorder, alignment.recorder_reason))
    if alignment.framework_reason:
        _line(console, f"framework: {alignment.framework_reason}")
    _line(console, f"case: {case_line(alignment.case)}")
    if alignment.kernels:
        _line(console, "")
        console.print(kernel_table(alignment.kernels, console.width))
        for line in kernel_remarks(alignment.kernels):
            _line(console, line)
    _line(console, "")
    console.print(_checklist(alignment.checks))
    if alignment.notes:
        _line(console, "")
    for note in alignment.notes:
        _line(console, f"note: {note}")
    for line in integration_lines(alignment):
        _line(console, line)
    _line(console, "")
    _line(
        console,
        f"VERDICT {alignment.verdict}: {alignment.summary}",
        style=_verdict_style(alignment.verdict),
    )


def print_summary(results: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print a table with one row per case.

    Args:
        results: evidence of every case, as `harness.report.evidence.evidence` makes it.
        console: where to.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    whole = console.width >= 80  # narrower than that everything has to fold
    for heading in ("case", "verdict", "ratio [95 %]", "kernels mock/ref.", "not passed"):
        figure = heading in ("verdict", "ratio [95 %]")
        table.add_column(heading, overflow="fold", no_wrap=figure and whole)
    for result in results:
        verdict = str(result["verdict"])
        table.add_row(
            Text(case_short(result["case"])),
            Text(verdict, _verdict_style(verdict)),
            Text(_ratio(result)),
            Text(_launches(result)),
            Text(_not_passed(result)),
        )
    _line(console, "")
    console.print(table)


def _line(console: Console, text: str, style: str = "") -> None:
    # Text and not str: brackets and colons of a kernel name are no markup and no emoji.
    console.print(Text(plain(text), style, overflow="fold"))


def _verdict_style(verdict: str) -> str:
    if verdict == Verdict.ALIGNED:
        return "bold green"
    return "bold red" if verdict == Verdict.DIVERGED else "bold yellow"


def _checklist(checks: Sequence[CheckResult]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        status = Text(check.status, _STATUS_STYLE[check.status])
        table.add_row(Text(plain(check.name)), status, Text(plain(check.reason)))
        for line in (*_causes(check), *_details(check)):
            table.add_row("", "", Text(f"  {plain(line)}", "dim"))
    return table


def _causes(check: CheckResult) -> list[str]:
    """The first cause in full, the others by name."""
    if not check.causes:
        return []
    first, *others = check.causes
    also = f" (or: {', '.join(cause.name for cause in others)})" if others else ""
    return [f"cause: {first.name}: {first.observation}{also}"]


def _details(check: CheckResult) -> list[str]:
    if check.status not in _EXPLAINED:
        return []
    lines = list(check.details[:MOST_DETAILS])
    if len(check.details) > MOST_DETAILS:
        lines.append(f"and {len(check.details) - MOST_DETAILS} more: {EVIDENCE}")
    return lines


def _ratio(result: Mapping[str, Any]) -> str:
    for check in result["checks"]:
        data = check["data"]
        if check["name"] == "latency" and data.get("ratio") is not None:
            low, high = data["ci95"]
            return f"{data['ratio']:.4f} [{low:.4f}, {high:.4f}]"
    return "-"


def _launches(result: Mapping[str, Any]) -> str:
    rows = result["kernels"]
    mock, reference = (sum(row[f"{side}_count"] for row in rows) for side in ("mock", "reference"))
    return f"{mock}/{reference}"


def _not_passed(result: Mapping[str, Any]) -> str:
    shown = (Status.FAIL, Status.INCONCLUSIVE)
    return ", ".join(check["name"] for check in result["checks"] if check["status"] in shown)
