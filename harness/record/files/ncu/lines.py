"""The text of an Nsight Compute CSV: what is table and what is log, whatever wrote between."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

DELIMITERS = (",", ";", "\t")
MOST_JOINED = 64
"""Lines that one row with line breaks inside quotes may have; more is an unbalanced quote."""

_TOOL_LINE = re.compile(r"==(PROF|WARNING|ERROR|INFO)==\s*(.*)")


@dataclass
class Block:
    """One header and its rows, of equal or smaller length."""

    delimiter: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)


@dataclass
class Split:
    """A file taken apart.

    Attributes:
        blocks: tables, in order; several where files were put together.
        log: (level, text) of ncu's own lines: PROF, WARNING, ERROR, INFO.
        others: number of lines of the profiled program or of nobody.
    """

    blocks: list[Block] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    others: int = 0


def split_lines(text: str) -> Split:
    """Tables and log lines of a file."""
    found = Split()
    for line in _joined(text):
        tool = _TOOL_LINE.match(line)
        if tool:
            found.log.append((tool[1], tool[2].strip()))
        elif header := _header(line):
            found.blocks.append(header)
        elif found.blocks and (row := _row(line, found.blocks[-1])):
            found.blocks[-1].rows.append(row)
        elif line.strip():
            found.others += 1
    return found


def _joined(text: str) -> Iterator[str]:
    """Lines; rows with line breaks inside quotes as one."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        end = at + 1
        if lines[at].startswith('"') and lines[at].count('"') % 2:
            end = _closing(lines, at)
        yield "\n".join(lines[at:end])
        at = end


def _closing(lines: list[str], start: int) -> int:
    """The line behind the row that begins at ``start``; the next line where no quote closes it."""
    for at in range(start + 1, min(start + MOST_JOINED, len(lines))):
        if lines[at].startswith(('"', "==")) and lines[at].count('"') % 2 == 0:
            break
        if lines[at].count('"') % 2:
            return at + 1
    return start + 1


def _header(line: str) -> Block | None:
    if "Kernel Name" not in line:
        return None
    for delimiter in DELIMITERS:
        cells = _cells(line, delimiter)
        if "Kernel Name" in cells and len(cells) > 2:
            return Block(delimiter, cells)
    return None


def _row(line: str, block: Block) -> list[str] | None:
    """The cells of a line that can be a row of this table, else None."""
    if not line.startswith('"') and not line[:1].isdigit() and not line.startswith(block.delimiter):
        return None
    cells = _cells(line, block.delimiter)
    return cells if 2 < len(cells) <= len(block.header) else None


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.replace("\0", "")], delimiter=delimiter), [])
    except csv.Error:
        return []
