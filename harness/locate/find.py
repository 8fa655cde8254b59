"""Locate an operator in a model's Trace: choose how, find occurrences, put them to steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.align.forwards import split_forwards
from harness.errors import InputError, NoSignalError
from harness.locate.choose import Choice, choose
from harness.locate.launches import Launches, launches_of
from harness.locate.model import Located
from harness.locate.place import in_steps
from harness.locate.search import Found, search
from harness.locate.steps import find_steps
from harness.locate.table import around, layer_table, phase_table, variants
from harness.trace import Trace

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
        by: ``auto`` or one of `harness.locate.model.METHODS`.
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
    mock = None if request.mock is None else mock_launches(request.mock)
    choice = choose(model, devices, mock, request)
    found = search(devices, mock, choice, request.minimum)
    return _located(model, found, choice, request)


def mock_launches(trace: Trace) -> Launches:
    """The launches of one forward of a mock: of the last region ``forward``, or of all.

    Raises:
        NoSignalError: there are none.
        InputError: they are of several devices.
    """
    forwards = [one for one in split_forwards(trace) if len(one)]
    devices = launches_of(forwards[-1] if forwards else trace)
    if not devices:
        raise NoSignalError(
            "the mock's Trace holds no kernel", fix="record the mock on a GPU, forwards in regions"
        )
    if len(devices) > 1:
        raise InputError(
            f"the mock ran on {len(devices)} devices or in as many processes",
            fix="record one rank by itself",
        )
    return devices[0]


def _located(model: Trace, found: Found, choice: Choice, request: Request) -> Located:
    kept = [one for one in found.matches if one.score is None or one.score >= request.minimum]
    steps = find_steps(
        model,
        [(one.launches, one.places) for one in kept],
        request.step_marker,
        request.step_range,
    )
    occurrences = in_steps(kept, steps)
    layers = layer_table(occurrences)
    notes = (*choice.notes, *found.notes, *steps.notes, *_incomplete(model))
    refused = len(found.matches) - len(kept)
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
    )


def _incomplete(model: Trace) -> list[str]:
    return [f"the model's Trace is incomplete: {reason}" for reason in model.info.incomplete]


def _reason(found: Found, refused: int, minimum: float) -> str:
    if found.reason:
        return found.reason
    closest = f"the closest list of launches scores {found.best or 0:.2f}, below {minimum:.2f}"
    several = f" ({refused} were found)" if refused else ""
    return f"{closest}{several}"
