"""Kernels that may come once in a step, told from how many occurrences lie between their launches.

A sampler's or an embedding's kernel runs once per step, so the same number of occurrences, the
layers, lies between any two of its launches. A kernel of every layer has one in between, and one of
some layers has varying numbers. Candidates that divide the occurrences in the same way belong
together. What also divides them evenly, a kernel of the first layer or of every second one, is told
from a step's end by what stands between the occurrences: at the end of a step more is launched than
after any other layer, and the first and the last step of a recording are whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.locate.launches import Ints, Launches
from harness.names.identity import NAMELESS

AGREEMENT = 0.9
"""Share of the steps that must have the usual number of occurrences: first ones may be warm-up or
cut."""

MISSED = 0.25
"""Where fewer agree, each may have so much more or less than usual: occurrences were refused."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A kernel outside of the occurrences.

    Attributes:
        name: identity key.
        places: of its launches on the device, ascending.
        after: how many occurrences began before each of them.
    """

    name: str
    places: Ints
    after: Ints


@dataclass(frozen=True, eq=False)
class Division:
    """Occurrences divided into steps.

    Attributes:
        bounds: numbers of the occurrences, ascending, that are the first of a step; without 0.
        layers: occurrences that a step usually has.
        candidates: the kernels that divide them so.
        likeness: adds launches, first step whole, last step whole, same number everywhere: what is
            looked at first when divisions are compared.
    """

    bounds: tuple[int, ...]
    layers: int
    candidates: tuple[Candidate, ...]
    likeness: tuple[bool, bool, bool, bool]


def divisions(launches: Launches, occurrences: Sequence[Ints]) -> list[Division]:
    """Divisions into steps of more than one occurrence, the likeliest first.

    Of those as likely as each other the one with the fewest occurrences per step.

    Args:
        launches: of one device.
        occurrences: places of the launches of each, in the order of the starts.
    """
    together: dict[tuple[int, ...], list[Candidate]] = {}
    for one in candidates(launches, occurrences):
        bounds = {int(b) for b in one.after if 0 < b < len(occurrences)}
        together.setdefault(tuple(sorted(bounds)), []).append(one)
    between = _Between(launches, occurrences)
    found = [
        _division(bounds, members, len(occurrences), between)
        for bounds, members in together.items()
    ]
    return sorted(found, key=lambda one: (*(not yes for yes in one.likeness), one.layers))


def candidates(launches: Launches, occurrences: Sequence[Ints]) -> Iterator[Candidate]:
    """Kernels with a regular number of occurrences, more than one, between their launches."""
    outside = _outside(launches, occurrences)
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
        after = np.searchsorted(firsts, mine)
        sizes = np.diff(after)
        sizes = sizes[sizes > 0]  # it may be launched several times at the end of a step
        if not len(sizes) or name == NAMELESS or name.startswith(("memcpy ", "memset ")):
            continue
        if _usual(sizes) > 1 and (_is_same(sizes) or _is_regular(sizes)):
            yield Candidate(name, mine, after)


class _Between:
    """What is launched between an occurrence and the next, outside of all of them."""

    def __init__(self, launches: Launches, occurrences: Sequence[Ints]) -> None:
        self._names = launches.names
        self._outside = _outside(launches, occurrences)
        self._firsts = [int(places[0]) for places in occurrences]

    def __getitem__(self, bound: int) -> Counter[str]:
        begin, end = self._firsts[bound - 1], self._firsts[bound]
        places = begin + np.flatnonzero(self._outside[begin:end])
        return Counter(self._names[place] for place in places.tolist())

    def has_more_at(self, bounds: Sequence[int]) -> bool:
        """Whether at a bound all is launched that is launched after some other layer, and more."""
        within = sorted(set(range(1, len(self._firsts))) - set(bounds))
        middle = within[len(within) // 2 :][:_LOOKED_AT] if within else []
        at_bound = self[bounds[len(bounds) // 2]]
        usual = Counter(frozenset(self[one].items()) for one in middle)
        return any(Counter(dict(one)) < at_bound for one, _ in usual.most_common(_KINDS))


_LOOKED_AT = 128
"""Places between occurrences that are looked at: two models of 61 layers."""

_KINDS = 4
"""Kinds of layers, dense and sparse say, that are told apart."""


def _division(
    bounds: tuple[int, ...], members: list[Candidate], count: int, between: _Between
) -> Division:
    sizes = np.diff([0, *bounds, count])
    inner = sizes[1:-1] if len(sizes) > 2 else sizes
    least = _usual(inner) if _is_same(inner) else int(inner.min())
    adds = bool(bounds) and between.has_more_at(bounds)
    likeness = (adds, bool(sizes[0] >= least), bool(sizes[-1] >= least), _is_same(inner))
    return Division(bounds, _usual(inner), tuple(members), likeness)


def _outside(launches: Launches, occurrences: Sequence[Ints]) -> np.ndarray:
    outside = np.ones(len(launches), np.bool_)
    outside[np.concatenate(list(occurrences))] = False
    return outside


def _usual(sizes: Ints) -> int:
    return int(np.bincount(sizes).argmax())


def _is_same(sizes: Ints) -> bool:
    return float(np.mean(sizes == _usual(sizes))) >= AGREEMENT


def _is_regular(sizes: Ints) -> bool:
    usual = _usual(sizes)
    return len(sizes) > 1 and bool((np.abs(sizes - usual) <= max(1, MISSED * usual)).all())
