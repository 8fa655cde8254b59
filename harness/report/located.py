"""Where an operator was located, for the terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.text import Text

from harness.locate.located import Located
from harness.names import display_name
from harness.report.evidence import sealed
from harness.report.figure_table import print_figures
from harness.report.plain import plain_json
from harness.report.text import plain
from harness.trace import Trace

SCHEMA = "harness.locate/1"

MOST_VARIANTS = 4
"""Launch lists that the terminal names; the JSON has all."""


def print_located(path: Path, what: str, located: Located, console: Console, *, most: int) -> None:
    """Print how the operator was looked for and what was found. Lines fit the console's width.

    Args:
        path: the model's file.
        what: what was looked for, as a phrase.
        most: rows of the table of layers.
    """
    _line(console, f"looked for: {what}")
    _line(console, f"in: {path}")
    _line(console, f"by {located.method}: {located.because}{_scored(located)}")
    if located.found:
        _line(console, f"steps: {located.steps_rule}")
        for name, table in _tables(located).items():
            console.print()
            print_figures(name, table, console, most)
        console.print()
        _print_variants(located, console)
        _print_around(located, console)
    for note in located.notes:
        _line(console, f"note: {note}", "dim")
    for cause in located.causes:
        _line(console, f"cause: {cause.name}: {cause.observation}; {cause.advice}")
    console.print()
    _line(console, conclusion(located), "bold green" if located.found else "bold yellow")


def conclusion(located: Located) -> str:
    """The last line: found and how often, or not found and why."""
    if not located.found:
        return f"NOT FOUND: {located.reason}"
    refused = f"; {located.refused} below the score" if located.refused else ""
    phases = [_found_in(row) for row in located.phases.to_pylist()]
    return f"FOUND {len(located.occurrences)} times ({', '.join(phases)}){refused}"


def located_json(path: Path, what: str, model: Trace, located: Located) -> str:
    """Everything as JSON text, with a content hash."""
    non_finite: dict[str, str] = {}
    fields = {
        name: getattr(located, name) for name in located.__dataclass_fields__ if name != "layers"
    }
    fields |= {"layers": located.layers.to_pylist(), "phases": located.phases.to_pylist()}
    document: Mapping[str, Any] = {
        "schema": SCHEMA,
        "file": str(path),
        "looked_for": what,
        "source": model.info.source,
        "versions": model.info.versions,
        "gpu": model.info.gpu,
        "found": located.found,
        "conclusion": conclusion(located),
        **plain_json(fields, "", non_finite),
        "non_finite": non_finite,
    }
    return json.dumps(sealed(plain_json(document, "", {})), indent=1, allow_nan=False)


def _tables(located: Located) -> dict[str, pa.Table]:
    phases = located.phases
    layers = [_layers(row) for row in phases.to_pylist()]
    phases = phases.append_column("layers", pa.array(layers, pa.string()))
    return {"located_phases": phases, "located_layers": located.layers}


def _layers(row: Mapping[str, Any]) -> str:
    low, high = row["layers_min"], row["layers_max"]
    if low is None:
        return "-"
    return str(low) if low == high else f"{low}-{high}"


def _found_in(row: Mapping[str, Any]) -> str:
    if row["steps"] is None:
        return f"{row['occurrences']} in no step"
    phase = "" if row["phase"] == "unknown" else f"{row['phase']} "
    return f"{row['steps']} {phase}step{'s' * (row['steps'] != 1)} x {_layers(row)}"


def _scored(located: Located) -> str:
    if located.best is None:
        return "; no score without a mock"
    return f"; best score {located.best:.2f}, refused below {located.minimum:.2f}"


def _launches(count: int) -> str:
    return f"{count} launch{'es' * (count != 1)}"


def _print_variants(located: Located, console: Console) -> None:
    many = len(located.variants)
    _line(console, f"{many} launch list{'s' * (many != 1)} among the occurrences", "bold")
    for variant in located.variants[:MOST_VARIANTS]:
        head = f"{variant['occurrences']} x {_launches(variant['launches'])}: "
        ends = dict.fromkeys((variant["names"][0], variant["names"][-1]))
        # two lines for them all: cut to one, variants of a kernel look the same
        width = max((2 * console.width - len(head)) // len(ends) - 6, 30)
        _line(console, head + " ... ".join(display_name(name, width=width) for name in ends))
    if many > MOST_VARIANTS:
        _line(console, f"... {many - MOST_VARIANTS} more: --json", "dim")


def _print_around(located: Located, console: Console) -> None:
    """What stands next to most occurrences: a launch that a mock may lack at either end."""
    for where in ("before", "after"):
        beside = [one for one in located.around if one["where"] == where]
        if beside:
            most = beside[0]
            head = f"{where} {most['occurrences']} of {len(located.occurrences)}: "
            width = max(2 * console.width - len(head) - 6, 30)
            _line(console, head + display_name(most["name"], width=width))


def _line(console: Console, text: str, style: str = "") -> None:
    # Text and not str: brackets and colons of a name are no markup and no emoji.
    console.print(Text(plain(text), style, overflow="fold"))
