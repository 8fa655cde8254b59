"""What stands out in a Trace: rules with thresholds, each with its numbers."""

from __future__ import annotations

from pathlib import Path

from harness.analyze.evidence import evidence
from harness.analyze.rules import Finding, Status, judge, read_rules
from harness.trace import Trace

SHIPPED = Path(__file__).with_name("findings.toml")
"""The rules of this release."""

_ORDER = (Status.FOUND, Status.UNKNOWN, Status.CLEAR)


def findings(trace: Trace, rules: Path | None = None) -> list[Finding]:
    """What every rule says about a Trace: found ones first, then unknown, then clear.

    Args:
        rules: a TOML file like findings.toml, which is used without one.

    Raises:
        InputError: the file cannot be used.
        NoSignalError: it has no kernel and no whole graph with its times.
    """
    known = read_rules(rules or SHIPPED)
    found = evidence(trace)
    made = judge(known, found.numbers, found.why_unknown)
    return sorted(made, key=lambda finding: _ORDER.index(finding.status))
