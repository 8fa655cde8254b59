"""A report for the terminal: one sentence, the findings by topic, what works here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.doctor.model import Capability, Finding, Report, Status
from harness.report.text import plain

_STYLE = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.PROBLEM: "bold red",
    Status.ABSENT: "yellow",
}
_HEADLINE = {0: "bold green", 3: "bold yellow"}


def print_report(report: Report, console: Console) -> None:
    """Print a report. Lines fit the console's width; colours only on a terminal."""
    style = _HEADLINE.get(report.exit_code, "bold red")
    console.print(Text(plain(report.summary), style, overflow="fold"))
    width = max(len(finding.name) for finding in report.findings)
    for topic, findings in groupby(report.findings, key=lambda finding: finding.topic):
        console.print()
        console.print(Text(topic, "bold"))
        console.print(_findings(list(findings), width))
    console.print()
    console.print(Text("what works here", "bold"))
    console.print(_capabilities(report.capabilities))


def _grid(first: int) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=first)
    table.add_column(no_wrap=True, min_width=len(Status.WARNING))
    table.add_column(overflow="fold")
    return table


def _findings(findings: Sequence[Finding], width: int) -> Table:
    table = _grid(width + 2)
    for same in _together(findings):
        if len(same) > 1:
            names = ", ".join(finding.name for finding in same)
            text = Text(f"{names}: {plain(same[0].found)}")
            table.add_row(f"  {len(same)} others", same[0].status, text, style="dim")
            continue
        finding = same[0]
        status = Text(finding.status, _STYLE[finding.status])
        table.add_row(Text(f"  {finding.name}"), status, Text(plain(finding.found)))
        if finding.fix:
            table.add_row("", Text("fix", "dim"), Text(plain(finding.fix)))
    return table


def _together(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Neighbours that say the same and ask for nothing share a line."""

    def said(finding: Finding) -> tuple[str, str]:
        return finding.found, finding.name if finding.fix else ""

    return [list(same) for _, same in groupby(findings, key=said)]


def _capabilities(capabilities: Sequence[Capability]) -> Table:
    """Who is in the way, by name: the fix stands beside the finding of that name, above."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    said: set[str] = set()
    for capability in capabilities:
        status = Text("yes", "green") if capability.works else Text("no", "bold red")
        names = ", ".join(blocker.name for blocker in capability.blockers)
        why = f"in the way: {names}" if names else ""
        table.add_row(Text(f"  {capability.name}"), status, Text(plain(why)))
        for blocker in capability.blockers:
            if blocker.fix and blocker.fix not in said:
                said.add(blocker.fix)
                table.add_row("", "", Text(plain(f"{blocker.name}: {blocker.fix}"), "dim"))
    return table
