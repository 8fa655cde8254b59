"""The operator located by the names of kernels that only it launches.

Without a mock nothing says where an operator begins and ends, so an occurrence is made of the
matching kernels alone. A new one begins with a kernel that does what one of the current occurrence
does already; with the kernel that has most other launches before it, which is the operator's first;
and in every launch of a graph. Where an operator is known by several kernels, one that is launched
several times in a row counts as one; where it is known by one, each launch is an occurrence. What
has fewer of the kernels than usual is reported as such (`incomplete`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from harness.errors import InputError
from harness.locate.launches import Ints, Launches

Patterns = Mapping[str, re.Pattern[str]]
"""What the kernels do -> a regular expression for their raw names."""


Kinds = frozenset[str]
"""What one kernel does, of the keys of the patterns."""


def compiled(patterns: Mapping[str, str]) -> Patterns:
    """Patterns ready to be searched for.

    Raises:
        InputError: one is no regular expression.
    """
    made = {}
    for what, pattern in patterns.items():
        try:
            made[what] = re.compile(pattern)
        except re.error as error:
            raise InputError(
                f"the pattern {pattern!r} is no regular expression ({error})",
                fix="write it as for Python's re.search; brackets of a name need a backslash",
            ) from error
    return made


def matching(launches: Launches, patterns: Patterns) -> Ints:
    """Places of the launches whose raw name matches a pattern."""
    fits = {
        name: any(pattern.search(name) for pattern in patterns.values())
        for name in set(launches.names)
    }
    return np.flatnonzero(np.array([fits[name] for name in launches.names], np.bool_))


def seen(names: list[str], patterns: Patterns) -> list[str]:
    """Which of the patterns, by what they stand for, match one of the names."""
    different = set(names)
    return [what for what, one in patterns.items() if any(map(one.search, different))]


def pattern_groups(launches: Launches, patterns: Patterns) -> list[Ints]:
    """Places of the kernels of each occurrence, in the order of the starts.

    Which kernel is the operator's first is what leaves the fewest occurrences partial; of several,
    the one that most other launches come before.
    """
    does = {name: frozenset(seen([name], patterns)) for name in set(launches.names)}
    places = matching(launches, patterns).tolist()
    kinds = [does[launches.names[place]] for place in places]
    different = sorted(set().union(*kinds))
    if len(different) < 2:
        return [np.array([place], np.int64) for place in places]
    tried = []
    for first in different:
        groups = _groups(launches.replays, places, kinds, first)
        partial = sum(len(frozenset().union(*map(kinds.__getitem__, one))) for one in groups)
        partial = len(groups) * len(different) - partial
        tried.append((partial, -_before(places, kinds, first), groups))
    best = min(tried, key=lambda one: one[:2])[2]
    return [np.array([places[at] for at in group], np.int64) for group in best]


def _groups(replays: Ints, places: list[int], kinds: list[Kinds], first: str) -> list[list[int]]:
    """Numbers of the kernels of each occurrence, where ``first`` begins one."""
    groups: list[list[int]] = []
    done: set[str] = set()
    for at, (place, what) in enumerate(zip(places, kinds, strict=True)):
        again = bool(done & what) or first in what
        # several kernels in a row may do one thing, since others do the operator's other things
        row = at > 0 and places[at - 1] == place - 1 and bool(done & what)
        row &= first not in what or done == {first}
        if not at or replays[places[at - 1]] != replays[place] or (again and not row):
            groups.append([])
            done = set()
        groups[-1].append(at)
        done |= what
    return groups


def _before(places: list[int], kinds: list[Kinds], pattern: str) -> float:
    """How many launches come between the kernels of a pattern and the matching one before."""
    distances = np.diff(places, prepend=-1)
    return float(
        np.median([n for n, what in zip(distances, kinds, strict=True) if pattern in what])
    )


def incomplete(groups: Sequence[Sequence[str]], patterns: Patterns) -> tuple[int, list[int]]:
    """How many of the patterns an occurrence usually has kernels of, and which ones have fewer.

    Args:
        groups: names of the launches of each occurrence.
    """
    counts = [len(seen(list(names), patterns)) for names in groups]
    usual = max(Counter(counts).items(), key=lambda one: (one[1], one[0]))[0] if counts else 0
    return usual, [place for place, count in enumerate(counts) if count < usual]
