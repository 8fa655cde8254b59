"""How an operator is located: by regions, else by names, else by its list; and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.locate.by_pattern import Patterns, compiled, seen
from harness.locate.by_region import Regions
from harness.locate.launches import Launches
from harness.locate.located import ALIGNMENT, METHODS, PATTERN, REGION
from harness.trace import Trace

if TYPE_CHECKING:
    from harness.locate.find import Request


@dataclass(frozen=True, eq=False)
class Choice:
    """One of `METHODS` and what it needs.

    Attributes:
        method: of `METHODS`.
        because: why, as a phrase.
        regions: those around the operator, for `REGION`.
        patterns: for `PATTERN`; with a mock only those that it has too.
        notes: what was passed over.
    """

    method: str
    because: str
    regions: Regions | None = None
    patterns: Patterns | None = None
    notes: tuple[str, ...] = ()


def choose(
    model: Trace, devices: list[Launches], mock: Launches | None, request: Request
) -> Choice:
    """The method that was asked for, or the first that has something to go by.

    Raises:
        InputError: there is nothing to go by, or the method that was asked for lacks what it needs.
    """
    by = request.by
    if by not in ("auto", *METHODS):
        raise InputError(f"unknown method {by!r}", fix=f"use auto, {', '.join(METHODS)}")
    if request.region and by not in ("auto", REGION):
        raise InputError(
            f"region {request.region!r} was named, but the operator is to be located by {by}",
            fix="drop --region, or use --by region",
        )
    if by == REGION or (by == "auto" and request.region):
        return _regions(model, request)
    if by == "auto" and request.usual_region:
        usual = Regions(model, request.usual_region)
        if usual:
            because = f"the model has regions {request.usual_region!r}"
            text = "launches outside of these regions were not looked at; --by alignment does"
            return Choice(REGION, because, regions=usual, notes=(text,) if mock else ())
    if by == PATTERN and not request.patterns:
        raise InputError("there are no patterns to go by", fix="give --pattern, or an --op of any")
    notes: tuple[str, ...] = ()
    if by in ("auto", PATTERN) and request.patterns:
        choice = _patterns(devices, mock, compiled(request.patterns), forced=by == PATTERN)
        if choice.method == PATTERN:
            return choice
        notes = choice.notes
    if mock is None:
        raise InputError(
            "there is nothing to locate the operator by",
            fix="give --mock FILE, --region NAME, --pattern REGEX or an --op with patterns",
        )
    return Choice(ALIGNMENT, _why_alignment(request, notes), notes=notes)


def _why_alignment(request: Request, notes: tuple[str, ...]) -> str:
    if request.by == ALIGNMENT:
        return "asked for"
    if notes:
        return "its kernels have names that no pattern knows"
    return "no regions" + (f" {request.usual_region!r}" if request.usual_region else " were named")


def _regions(model: Trace, request: Request) -> Choice:
    pattern = request.region or request.usual_region
    if pattern is None:
        raise InputError("no region was named", fix="give --region NAME")
    found = Regions(model, pattern)
    if not found:
        known = sorted({name for name in found.names if name})[:8]
        raise InputError(
            f"no region that matches {pattern!r} launched anything",
            fix=f"use one of {', '.join(known)}, ..." if known else "use --by alignment",
        )
    return Choice(REGION, f"regions {pattern!r}", regions=found)


def _patterns(
    devices: list[Launches], mock: Launches | None, patterns: Patterns, *, forced: bool
) -> Choice:
    """By patterns; by alignment where none of them is in the mock, which says why."""
    usable: Mapping[str, object] = patterns
    if mock is not None:
        known = seen(mock.names, patterns)
        if not known:
            text = f"no kernel of the mock matches a pattern ({', '.join(patterns)})"
            if forced:
                raise InputError(text, fix="use --by alignment, or give the --pattern that fits")
            return Choice(ALIGNMENT, "", notes=(text,))
        usable = {what: patterns[what] for what in known}
    chosen = {what: patterns[what] for what in usable}
    names = [name for launches in devices for name in launches.names]
    there = seen(names, chosen)
    absent = [what for what in chosen if what not in there]
    text = f"kernels of the operator: {', '.join(there) or 'none'}"
    notes = (f"the model has no kernel of: {', '.join(absent)}",) if there and absent else ()
    return Choice(PATTERN, text, patterns=chosen, notes=notes)
