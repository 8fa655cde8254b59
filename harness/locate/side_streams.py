"""What an operator launches on its other streams, found beside what its busiest stream launches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from harness.locate.launches import Launches
from harness.locate.match import Match, Mock


def with_sides(
    found: list[Match], mock: Mock, launches: Launches, names: list[str]
) -> Iterator[Match]:
    """The matches with what the mock's other streams launch, in the order of their starts.

    It is looked for on other streams while the match ran, in any order. No launch belongs to two of
    the matches, so that copies of the operator that overlap in time each keep their own.

    Args:
        found: matches of the mock's busiest stream, on any stream.
        names: of the launches, as they are compared.
    """
    if not mock.side:
        yield from found
        return
    used = np.zeros(len(launches), np.bool_)
    for match in found:
        used[match.places] = True
    for match in sorted(found, key=lambda one: int(one.places[0])):
        beside = _beside(match, mock.side, launches, names, used)
        used[beside] = True
        lost = mock.side.total() - len(beside)
        yield Match(
            np.sort(np.append(match.places, np.array(beside, np.int64))),
            match.matched + len(beside),
            match.score - lost / len(mock),
            match.missing + lost,
            match.extra,
        )


def _beside(
    match: Match, side: Counter[str], launches: Launches, names: list[str], used: np.ndarray
) -> list[int]:
    """Places on other streams: first of the stream that has most of what is wanted."""
    own = launches.streams[match.places[0]]
    begin = launches.starts[match.places[0]]
    end = launches.ends[match.places].max()
    first, last = np.searchsorted(launches.starts, [begin, end + 1])
    streams: dict[int, list[int]] = {}
    for place in range(int(first), int(last)):
        if not used[place] and launches.streams[place] != own and names[place] in side:
            streams.setdefault(int(launches.streams[place]), []).append(place)
    wanted, taken = Counter(side), []
    for places in sorted(streams.values(), key=lambda one: -_useful(one, side, names)):
        for place in places:
            if wanted[names[place]] > 0:
                wanted[names[place]] -= 1
                taken.append(place)
    return taken


def _useful(places: list[int], side: Counter[str], names: list[str]) -> int:
    return (Counter(names[place] for place in places) & side).total()
