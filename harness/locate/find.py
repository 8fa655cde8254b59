"""Locate an operator in a model's Trace: choose how, find occurrences, put them to steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness.align.explain.explain import LOCATE, causes_for
from harness.align.model import Cause
from harness.errors import InputError, NoSignalError
from harness.locate.choose import Choice, choose
from harness.locate.launches import Launches, launches_of
from harness.locate.located import PATTERN, Located
from harness.locate.mock import mock_launches
from harness.locate.pattern_hits import notes_of, split_at_steps
from harness.locate.phases import with_phases_told
from harness.locate.place import in_steps
from harness.locate.search import Found, search
from harness.locate.steps import find_steps
from harness.locate.table import around, layer_table, phase_table, variants
from harness.trace import Trace
from harness.trace.schema import OUTSIDE

MINIMUM_SCORE = 0.8
"""Of vLLM's DSA on an H200 the list of a decode scores 1.00 at every decode and 0.74 at a prefill,
with which it shares most of its small kernels (tests/test_locate.py). A mock that lacks less than a
fifth of the operator's launches is still located, and then compared."""

AUTO = "auto"


@dataclass(frozen=True, eq=False)
class Request:
    """What to look for, and how.

    Attributes:
        mock: what the operator launches by itself: a Trace of forwards (the last is used), or one
            that holds nothing else; None where only names or regions are known.
        patterns: of kernels that only this operator launches, by what they do; searched for in raw
            names.
        region: name of the regions around it, as `fnmatch.fnmatchcase` takes it; None: not given.
        usual_region: the same, for when none was given: used where there are such regions.
        by: ``auto`` or one of `harness.locate.located.METHODS`.
        minimum: score from which on a list of launches counts as the operator.
        step_marker, step_range: as for `harness.analyze.steps.steps`; None: found out.
    """

    mock: Trace | None = None
    patterns: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    usual_region: str | None = None
    by: str = AUTO
    minimum: float = MINIMUM_SCORE
    step_marker: str | None = None
    step_range: str | None = None


def locate(model: Trace, request: Request) -> Located:
    """Find every occurrence of the operator in the Trace of a whole model.

    Raises:
        InputError: nothing to go by, a pattern, region or step that does not exist.
        NoSignalError: a Trace holds no launch.
    """
    if not 0 < request.minimum <= 1:
        raise InputError(f"a score of {request.minimum}", fix="give one above 0 and up to 1")
    devices = launches_of(model)
    if not devices:
        raise NoSignalError(
            "the model's Trace holds no kernel", fix="record it with kernels (CUDA) traced"
        )
    mock, notes = (None, ()) if request.mock is None else mock_launches(request.mock)
    choice = choose(model, devices, mock, request)
    found = search(devices, mock, choice, request.minimum)
    return _located(model, devices, replace(found, notes=[*notes, *found.notes]), choice, request)


def _located(
    model: Trace, devices: list[Launches], found: Found, choice: Choice, request: Request
) -> Located:
    kept = [one for one in found.matches if one.score is None or one.score >= request.minimum]
    refused = len(found.matches) - len(kept)
    steps = find_steps(model, kept, request.step_marker, request.step_range)
    steps = with_phases_told(model, devices, steps)
    partial: list[str] = []
    if choice.method == PATTERN and request.mock is None and choice.patterns and kept:
        kept = split_at_steps(kept, steps)
        partial = notes_of(kept, choice.patterns)
    occurrences = in_steps(kept, steps)
    layers = layer_table(occurrences)
    notes = (*choice.notes, *found.notes, *partial, *steps.notes, *_incomplete(model))
    return Located(
        method=choice.method,
        because=choice.because + found.how,
        occurrences=tuple(occurrences),
        minimum=request.minimum,
        best=found.best,
        refused=refused,
        reason="" if kept else _reason(found, refused, request.minimum),
        steps_rule=steps.rule,
        layers=layers,
        phases=phase_table(occurrences, layers),
        variants=variants([one.names for one in kept]),
        around=around(kept),
        notes=tuple(dict.fromkeys(notes)),
        causes=() if kept else _causes(model, devices, found),
    )


def _causes(model: Trace, devices: list[Launches], found: Found) -> tuple[Cause, ...]:
    facts = {
        "regions": sum(one != OUTSIDE for one in model.regions["id"].to_pylist()),
        "kernels": sum(map(len, devices)),
        "best_score": found.best,
    }
    return causes_for(LOCATE, facts)


def _incomplete(model: Trace) -> list[str]:
    return [f"the model's Trace is incomplete: {reason}" for reason in model.info.incomplete]


def _reason(found: Found, refused: int, minimum: float) -> str:
    if found.reason:
        return found.reason
    closest = f"the closest list of launches scores {found.best or 0:.2f}, below {minimum:.2f}"
    several = f" ({refused} were found)" if refused else ""
    return f"{closest}{several}"
