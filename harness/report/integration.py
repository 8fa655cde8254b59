"""Causes, known differences and what follows for an integration, as lines and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.align.model import Alignment


def integration_lines(alignment: Alignment) -> Iterator[str]:
    """For the terminal: known differences, conclusion, label, corrections; each one line."""
    for one in alignment.known:
        until = f", until {one.expires}" if one.expires else ""
        said = f": {one.message}" if one.message else ""
        yield f"known difference {one.name} ({one.check}{until}) {one.state}{said}"
        yield f"  because {one.reason}; effect on modelling: {one.effect}"
    for cause in alignment.causes:
        yield f"cause: {cause.name}: {cause.observation}; {cause.advice}"
    found = alignment.integration
    if found is None:
        return
    if found.kernel_source:
        yield f"kernel_source: {found.kernel_source}"
    for correction in found.corrections:
        yield f"correction: {correction}"
    yield f"conclusion: {found.conclusion}"


def flow_rows(alignment: Alignment) -> list[Mapping[str, Any]]:
    """The data-flow table: tensors, then weights; empty where it was not made."""
    for check in alignment.checks:
        if check.name == "data flow":
            return [*check.data.get("tensors", ()), *check.data.get("weights", ())]
    return []
