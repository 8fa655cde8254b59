"""Where the steps of a device begin, from the kernels that come once in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.locate.launches import Ints, Launches
from harness.locate.step_candidates import Candidate, Division
from harness.names import display_name


@dataclass(frozen=True, eq=False)
class Begins:
    """Where steps begin.

    Attributes:
        places: of the first launch of each step, ascending; what comes before is in no step.
        first_is_cut: whether nothing says that the first step is whole.
        rule: how they were told, as a sentence.
        notes: what else they may be.
    """

    places: Ints
    first_is_cut: bool
    rule: str
    notes: tuple[str, ...] = ()


def begins(launches: Launches, found: list[Division]) -> Begins:
    """The steps of the likeliest division.

    A kernel that is launched before the first occurrence begins a step, any other ends one. Of
    several the one at the longest pause (their median) is taken, of equal ones the outermost.

    Args:
        found: as `harness.locate.step_candidates.divisions` gives them.
    """
    division = found[0]
    is_whole = division.likeness[1]
    enders = [one for one in division.candidates if not is_whole or one.after[0] > 0]
    pauses = launches.starts[1:] - np.maximum.accumulate(launches.ends)[:-1]
    pauses = np.append(np.insert(pauses, 0, 0), 0)  # before each launch, and after the last
    if enders:
        one, cuts = _longest(enders, pauses, _after)
        places = np.insert(cuts[cuts < len(launches)], 0, 0)
    else:
        one, places = _longest(list(division.candidates), pauses, _before)
    does = "ends" if enders else "begins"
    rule = (
        f"a step {does} with a kernel that comes once in it: {division.layers} occurrences lie "
        f"between launches of {display_name(one.name)}"
    )
    return Begins(places, bool(enders), rule, _ambiguous(one, found))


def _longest(
    members: list[Candidate], pauses: Ints, cuts_of: Callable[[Candidate], Ints]
) -> tuple[Candidate, Ints]:
    outer = 1 if cuts_of is _after else -1
    cuts = [(one, cuts_of(one)) for one in members]
    return max(
        cuts,
        key=lambda pair: (float(np.median(pauses[pair[1]])), outer * float(np.mean(pair[1]))),
    )


def _after(one: Candidate) -> Ints:
    """The place after its last launch between two occurrences."""
    last = np.append(np.diff(one.after) > 0, True)
    places: Ints = one.places[last] + 1
    return places


def _before(one: Candidate) -> Ints:
    """The place of its first launch between two occurrences."""
    first = np.insert(np.diff(one.after) > 0, 0, True)
    places: Ints = one.places[first]
    return places


def _ambiguous(chosen: Candidate, found: list[Division]) -> tuple[str, ...]:
    rivals = [one for one in found[1:] if one.likeness == found[0].likeness]
    if not rivals:
        return ()
    return (
        f"ambiguous: a step is {found[0].layers} occurrences by {display_name(chosen.name)} or "
        f"{rivals[0].layers} by {display_name(rivals[0].candidates[0].name)}; use --steps",
    )
