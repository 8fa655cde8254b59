"""The operator located by the names of kernels that only it launches.

Without a mock nothing says where an operator begins and ends, so an occurrence is made of the
matching kernels alone. A new one begins with a kernel that does what one of the current occurrence
does already, unless nothing else was launched in between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from harness.errors import InputError
from harness.locate.launches import Ints, Launches

Patterns = Mapping[str, re.Pattern[str]]
"""What the kernels do -> a regular expression for their raw names."""


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
    """Places of the kernels of each occurrence, in the order of the starts."""
    does = {name: seen([name], patterns) for name in set(launches.names)}
    groups: list[list[int]] = []
    done: set[str] = set()
    for place in matching(launches, patterns).tolist():
        what = does[launches.names[place]]
        follows = bool(groups) and groups[-1][-1] == place - 1
        if not groups or (done & set(what) and not follows):
            groups.append([])
            done = set()
        groups[-1].append(place)
        done |= set(what)
    return [np.array(group, np.int64) for group in groups]
