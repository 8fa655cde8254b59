"""An alignment as a Markdown page (GitHub's dialect)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from harness.align.model import Alignment
from harness.errors import InputError
from harness.report.integration import flow_rows
from harness.report.text import (
    UNKNOWN,
    case_line,
    has_times,
    labels,
    microseconds,
    plain,
    recorder_line,
)

_NO_GRAPH: dict[str, Any] = {"used": False, "problem": "", "nodes": (), "branches": 0}

_SPECIAL = re.compile(r"[\\`*|<>\[\]&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def markdown(alignment: Alignment) -> str:
    """The whole report: verdict, checks, kernels, both sides with their lists, environment."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        autoescape=False,  # the output is Markdown: `cell` and `code` escape for it
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cell": cell,
        "code": code,
        "us": microseconds,
        "ns": lambda value: microseconds(None if not _is_known(value) else value / 1000),
        "ms": lambda value: f"{value:.4f}",
        "dim": lambda value: "x".join(map(str, value)) if _is_known(value) else UNKNOWN,
        "known": lambda value: value if _is_known(value) else UNKNOWN,
        "shared": _shared,
        "tensors": _tensors,
    }
    rows = alignment.kernels
    text = environment.get_template("report.md.j2").render(
        a=alignment,
        case=case_line(alignment.case),
        recorder=recorder_line(alignment.recorder, alignment.recorder_reason),
        timed=has_times(rows),
        rows=list(zip(rows, labels(rows), strict=True)),
        sides=[_side(label, side) for label, side in alignment.sides.items()],
        environment=list(_flat(alignment.environment)),
        flow=flow_rows(alignment),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def write_markdown(alignment: Alignment, path: str | Path) -> Path:
    """Write `markdown` to a file, replacing what was there.

    Raises:
        InputError: the file cannot be written.
    """
    target = Path(path)
    try:
        target.write_text(markdown(alignment), encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"cannot write the report to {target} ({error.strerror or error})",
            fix="choose a file in a folder that exists and that you may write to",
        ) from error
    return target


def cell(text: Any) -> str:
    """Text that stays one table cell and is shown as it is."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], plain(str(text)))


def code(text: Any) -> str:
    """Text as a code span inside a table, whatever backticks and pipes are in it."""
    line = plain(str(text)) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|")


def _is_known(value: Any) -> bool:
    return value is not None and not isinstance(value, jinja2.Undefined)


def _side(label: str, side: Mapping[str, Any]) -> dict[str, Any]:
    """What the template reads of a side; parts that are missing are empty."""
    lists = [
        (mode, side[key]["activities"])
        for key, mode in (("eager", "eager"), ("replay", "graph replay"))
        if side.get(key)
    ]
    return {
        "label": label,
        "description": side.get("description", ""),
        "measurement": side.get("measurement"),
        "graph": {**_NO_GRAPH, **side["graph"]} if side.get("graph") else None,
        "lists": lists,
    }


def _shared(row: Mapping[str, Any]) -> str:
    """Static + dynamic shared memory of a launch."""
    parts = [row.get("shared_static_bytes"), row.get("shared_dynamic_bytes")]
    known = [str(part) for part in parts if part is not None]
    return "+".join(known) or UNKNOWN


def _tensors(specs: Any) -> str:
    """``bfloat16 4096x7168`` per tensor of an ATen call."""
    shown = [
        f"{spec['dtype']} {'x'.join(map(str, spec['shape'])) or 'scalar'}"
        for spec in (specs if _is_known(specs) else ())
    ]
    return ", ".join(shown) or UNKNOWN


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
