"""The operator located by the list of what its mock launches.

Two views of each device are searched: all its launches in the order of their starts, and each
stream by itself. An operator that uses several streams is looked for in a stream by what its
busiest stream launches; what its other streams launch is then looked for, in any order, on the
other streams meanwhile. So unrelated work on another stream, and a race between two streams, cost
nothing. Of occurrences that share launches the one with the better score stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from harness.locate.infix import Coder, closest, parts
from harness.locate.launches import Ints, Launches, by_stream
from harness.locate.match import Match, Mock
from harness.locate.side_streams import with_sides


def matches(
    mock: Mock, launches: Launches, write: Callable[[str], str], minimum: float
) -> tuple[list[Match], int]:
    """The matches on one device with at least the score ``minimum``, in the order of the starts.

    Returns:
        The matches, and how many more were dropped that share less than half of their launches
        with one of them.

    Raises:
        InputError: the mock launches more different kernels than can be told apart.
    """
    names = [write(name) for name in launches.names]
    most = int((1 - minimum) * len(mock) + 1e-9)
    found = [match for match in _all(mock, launches, names, most) if match.score >= minimum - 1e-9]
    found.sort(key=lambda one: (-one.score, int(one.places[0])))
    taken = np.zeros(len(launches), np.bool_)
    kept, dropped = [], []
    for match in found:
        if not taken[match.places].any():
            taken[match.places] = True
            kept.append(match)
        else:
            dropped.append(match)
    lost = sum(2 * int(taken[match.places].sum()) < len(match.places) for match in dropped)
    return sorted(kept, key=lambda one: int(one.places[0])), lost


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
    found: list[Match] = []
    for view in streams:
        found += _in_view(mock.main, view, names, most, len(mock))
    yield from with_sides(found, mock, launches, names)


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
