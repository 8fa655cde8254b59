"""The kernel that ends a step, told from how many occurrences lie between its launches.

A sampler's or an embedding's kernel runs once per step, so the same number of occurrences, the
layers, lies between any two of its launches. A kernel of every layer has one in between, and one of
some layers has varying numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.locate.launches import Ints, Launches
from harness.names.identity import NAMELESS

AGREEMENT = 0.9
"""Share of neighbouring launches between which the usual number of occurrences has to lie: first
steps may be warm-up or cut."""


def step_end(launches: Launches, occurrences: list[Ints]) -> tuple[str, int] | None:
    """Name of that kernel and how many occurrences a step has; None where there is none.

    Of several the one with the longest pauses (their median) behind it.

    Args:
        launches: of one device.
        occurrences: places of the launches of each, in the order of the starts.
    """
    pauses = launches.starts[1:] - np.maximum.accumulate(launches.ends)[:-1]
    found = []
    for name, places, layers in _once_per_step(launches, occurrences):
        behind = pauses[places[places < len(pauses)]]
        found.append((float(np.median(behind)) if len(behind) else 0.0, layers, name))
    if not found:
        return None
    _, layers, name = max(found)
    return name, layers


def _once_per_step(launches: Launches, occurrences: list[Ints]) -> Iterator[tuple[str, Ints, int]]:
    outside = np.ones(len(launches), np.bool_)
    outside[np.concatenate(occurrences)] = False
    firsts = np.array([places[0] for places in occurrences])
    places = np.flatnonzero(outside)
    numbers: dict[str, int] = {}
    codes = np.array(
        [numbers.setdefault(launches.names[place], len(numbers)) for place in places.tolist()],
        np.int64,
    )
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=1))[:-1]
    for name, mine in zip(numbers, np.split(places[order], ends), strict=False):
        between = np.diff(np.searchsorted(firsts, mine))
        between = between[between > 0]  # it may be launched several times at the end of a step
        if not len(between) or name == NAMELESS or name.startswith(("memcpy ", "memset ")):
            continue
        usual = int(np.bincount(between).argmax())
        if usual > 1 and float(np.mean(between == usual)) >= AGREEMENT:
            yield name, mine, usual
