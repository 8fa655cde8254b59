"""What a mock launches in one forward."""

from __future__ import annotations

from collections import Counter
from math import gcd

import numpy as np

from harness.align.forwards import split_forwards
from harness.errors import InputError, NoSignalError
from harness.locate.infix import Coder, distance
from harness.locate.launches import Ints, Launches, by_stream, launches_of
from harness.trace import Trace

SAME_NAMES = 0.75
"""Share of the different names that come a multiple of n times in a recording of n forwards; the
others are of the first one, which sets up."""

UNLIKE = 0.25
"""Forwards that differ by up to this share of their launches are taken to be of one operator."""


def mock_launches(trace: Trace) -> tuple[Launches, tuple[str, ...]]:
    """The launches of one forward of a mock, and what the reader must know of them.

    Of several regions ``forward`` it is the last; without one the whole Trace is one forward,
    unless its list is a repetition, of which one period is taken.

    Raises:
        NoSignalError: there are none.
        InputError: they are of several devices, or of several forwards that cannot be told apart.
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
    return (devices[0], ()) if forwards else _one_of(devices[0])


def _one_of(launches: Launches) -> tuple[Launches, tuple[str, ...]]:
    streams = list(by_stream(launches))
    names = np.array(launches.names, dtype=object)
    times = gcd(*(len(stream) // period(names[stream].tolist()) for stream in streams))
    if times == 1:
        several = nearly_repeats(names[streams[0]].tolist())
        if several > 1:
            raise InputError(
                f"the mock's list nearly repeats {several} times, as of {several} forwards that "
                "are not the same, and no region 'forward' says where one ends",
                fix="record one forward, or put each into a region named forward",
            )
        return launches, ()
    last = np.sort(np.concatenate([one[-(len(one) // times) :] for one in streams]))
    note = (
        f"the mock's list is {len(last)} launches {times} times over, and no region 'forward' says "
        "what one forward is: one repetition was taken"
    )
    return _taken(launches, last), (note,)


def _taken(launches: Launches, places: Ints) -> Launches:
    return Launches(
        launches.process,
        launches.device,
        launches.rows[places],
        [launches.names[place] for place in places.tolist()],
        launches.starts[places],
        launches.ends[places],
        launches.streams[places],
        launches.replays[places],
    )


def period(names: list[str]) -> int:
    """Length of the shortest list that makes ``names`` when it is repeated; of all, if none is."""
    longest = [0] * len(names)  # Knuth, Morris and Pratt: the longest beginning that is an end
    for at in range(1, len(names)):
        size = longest[at - 1]
        while size and names[size] != names[at]:
            size = longest[size - 1]
        longest[at] = size + (names[size] == names[at])
    shift = len(names) - longest[-1]
    return shift if len(names) % shift == 0 else len(names)


def nearly_repeats(names: list[str]) -> int:
    """How often a list comes in ``names``, each time nearly the same; 1 where it does not."""
    counts = Counter(names)
    for times in sorted({count for count in counts.values() if count > 1}, reverse=True):
        same = sum(count % times == 0 for count in counts.values())
        anchors = [name for name, count in counts.items() if count == times]
        if same >= SAME_NAMES * len(counts) and _alike(names, anchors[0]):
            return times
    return 1


def _alike(names: list[str], anchor: str) -> bool:
    """Whether the stretches from one launch of ``anchor`` to the next are nearly the same."""
    at = [place for place, name in enumerate(names) if name == anchor]
    parts = [names[begin:end] for begin, end in zip(at, [*at[1:], len(names)], strict=True)]
    coder = Coder(parts[-1])
    usual = coder.encode(parts[-1])
    return len(usual) > 1 and all(
        distance(usual, coder.encode(part)) <= UNLIKE * len(usual) for part in parts[:-1]
    )
