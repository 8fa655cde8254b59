"""The operator located by the list of what its mock launches.

Two views of each device are searched: all its launches in the order of their starts, and each
stream by itself. An operator that uses several streams is looked for in a stream by what its
busiest stream launches; what its other streams launch is then looked for, in any order, on the
other streams meanwhile. So unrelated work on another stream, and a race between two streams, cost
nothing. Of occurrences that share launches the one with the better score stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from harness.locate.infix import Coder, closest, parts
from harness.locate.launches import Ints, Launches, by_stream


@dataclass(frozen=True, eq=False)
class Match:
    """Launches of one device that are the mock's, a few edits aside.

    Attributes:
        places: into the arrays of the device's `Launches`, ascending.
        matched: how many of them are launches of the mock.
        score: 1 - edits / launches of the mock.
        missing, extra: as in `harness.locate.model.Occurrence`.
    """

    places: Ints
    matched: int
    score: float
    missing: int
    extra: int


@dataclass(frozen=True)
class Mock:
    """What the mock launches.

    Attributes:
        names: all of it, in the order of the starts.
        main: what its busiest stream launches.
        side: what the others launch, with how often.
    """

    names: tuple[str, ...]
    main: tuple[str, ...]
    side: Counter[str]

    @classmethod
    def of(cls, launches: Launches, write: Callable[[str], str]) -> Mock:
        """From the launches of one forward."""
        names = [write(name) for name in launches.names]
        busiest = next(by_stream(launches))
        main = tuple(names[place] for place in busiest.tolist())
        return cls(tuple(names), main, Counter(names) - Counter(main))

    def __len__(self) -> int:
        return len(self.names)


def matches(
    mock: Mock, launches: Launches, write: Callable[[str], str], minimum: float
) -> list[Match]:
    """The matches on one device with at least the score ``minimum``, in the order of the starts.

    Raises:
        InputError: the mock launches more different kernels than can be told apart.
    """
    names = [write(name) for name in launches.names]
    most = int((1 - minimum) * len(mock) + 1e-9)
    found = [match for match in _all(mock, launches, names, most) if match.score >= minimum - 1e-9]
    found.sort(key=lambda one: (-one.score, int(one.places[0])))
    taken = np.zeros(len(launches), np.bool_)
    kept = []
    for match in found:
        if not taken[match.places].any():
            taken[match.places] = True
            kept.append(match)
    return sorted(kept, key=lambda one: int(one.places[0]))


def best_score(mock: Mock, launches: Launches, write: Callable[[str], str]) -> float:
    """The score of the closest stretch of all launches; 0 where there is nothing in common."""
    coder = Coder(mock.names)
    part = closest(coder.encode(mock.names), coder.encode([write(n) for n in launches.names]))
    return 0.0 if part is None else max(0.0, 1 - part.distance / len(mock))


def _all(mock: Mock, launches: Launches, names: list[str], most: int) -> Iterator[Match]:
    streams = list(by_stream(launches))
    yield from _in_view(mock.names, np.arange(len(names)), names, most, len(mock))
    if len(streams) == 1 and not mock.side:
        return
    for view in streams:
        for match in _in_view(mock.main, view, names, most, len(mock)):
            yield _with_side(match, mock, launches, names)


def _in_view(
    wanted: tuple[str, ...], view: Ints, names: list[str], most: int, size: int
) -> Iterator[Match]:
    """Matches of a list among the launches at ``view``; scores by ``size`` launches."""
    coder = Coder(wanted)
    long = coder.encode([names[place] for place in view.tolist()])
    for part in parts(coder.encode(wanted), long, min(most, len(wanted) - 1)):
        matched = len(part.matched)
        extra = part.stop - part.start - matched
        yield Match(
            view[part.start : part.stop],
            matched,
            1 - part.distance / size,
            len(wanted) - matched,
            extra,
        )


def _with_side(match: Match, mock: Mock, launches: Launches, names: list[str]) -> Match:
    """With what the mock's other streams launch, found on other streams while the match ran."""
    if not mock.side:
        return match
    own = launches.streams[match.places[0]]
    begin = launches.starts[match.places[0]]
    end = launches.ends[match.places].max()
    first, last = np.searchsorted(launches.starts, [begin, end + 1])
    missing, beside = Counter(mock.side), []
    for place in range(int(first), int(last)):
        if launches.streams[place] != own and missing[names[place]] > 0:
            missing[names[place]] -= 1
            beside.append(place)
    lost = missing.total()
    return Match(
        np.sort(np.append(match.places, np.array(beside, np.int64))),
        match.matched + len(beside),
        match.score - lost / len(mock),
        match.missing + lost,
        match.extra,
    )
