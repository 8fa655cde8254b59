"""The occurrences on all devices by the chosen method, scored where there is a mock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from harness.locate.by_alignment import best_score, matches
from harness.locate.by_pattern import Patterns, matching, pattern_groups
from harness.locate.by_region import Regions
from harness.locate.choose import Choice
from harness.locate.hits import Hit
from harness.locate.infix import Coder, distance
from harness.locate.launches import Launches, comparable, families
from harness.locate.located import ALIGNMENT, PATTERN, REGION
from harness.locate.match import Mock

Write = Callable[[str], str]


@dataclass(frozen=True)
class Found:
    """What a search gave.

    Attributes:
        matches: occurrences, also regions that scored too low.
        best: highest score of anything looked at; None without a mock.
        how: what the reader must know of how names were compared, to follow the choice's reason.
        reason: why there is none, where there is more to say than the best score.
        notes: what else was seen.
    """

    matches: list[Hit]
    best: float | None = None
    how: str = ""
    reason: str = ""
    notes: list[str] = field(default_factory=list)


def search(devices: list[Launches], mock: Launches | None, choice: Choice, minimum: float) -> Found:
    """Occurrences in the order of devices and starts."""
    if choice.method == REGION:
        assert choice.regions is not None
        return _by_region(devices, mock, choice.regions)
    if choice.method == PATTERN and mock is None:
        assert choice.patterns is not None
        return _by_pattern(devices, choice.patterns)
    assert mock is not None
    return _by_list(devices, mock, choice, minimum)


def _by_region(devices: list[Launches], mock: Launches | None, regions: Regions) -> Found:
    groups = [(launches, one) for launches in devices for one in regions.on(launches)]
    if mock is None:
        return Found([Hit(launches, one.places, region=one.name) for launches, one in groups])
    write = comparable(mock.names, _names(devices))
    scored = [
        _scored(Hit(launches, one.places, region=one.name), mock, write) for launches, one in groups
    ]
    return Found(scored, max((one.score or 0.0 for one in scored), default=None))


def _scored(placed: Hit, mock: Launches, write: Write) -> Hit:
    """With the score of its whole list against the mock's; across streams any order is the same."""
    ours, theirs = [write(name) for name in mock.names], [write(name) for name in placed.names]
    coder = Coder(ours)
    missing = (Counter(ours) - Counter(theirs)).total()
    extra = (Counter(theirs) - Counter(ours)).total()
    one_stream = len(set(placed.launches.streams[placed.places].tolist())) == 1
    in_order = distance(coder.encode(ours), coder.encode(theirs)) if one_stream else 0
    edits = max(in_order, missing, extra)
    score = max(0.0, 1 - edits / len(ours))
    return Hit(placed.launches, placed.places, score, missing, extra, placed.region)


def _by_pattern(devices: list[Launches], patterns: Patterns) -> Found:
    groups = [
        Hit(launches, places)
        for launches in devices
        for places in pattern_groups(launches, patterns)
    ]
    reason = "" if groups else f"no kernel of the model matches {_listed(patterns)}"
    return Found(groups, reason=reason)


def _by_list(devices: list[Launches], mock: Launches, choice: Choice, minimum: float) -> Found:
    exact = comparable(mock.names, _names(devices))
    ways = (("", exact), ("; names by family, no list of exact names was found", families(exact)))
    best = 0.0
    for how, write in ways:
        ours = Mock.of(mock, write)
        found, dropped = [], 0
        for launches in devices:
            kept, lost = matches(ours, launches, write, minimum)
            found += [Hit(launches, one.places, one.score, one.missing, one.extra) for one in kept]
            dropped += lost
        if how == "":  # the score that a reader can check: of names as they are
            best = max(best_score(ours, launches, write) for launches in devices)
        if found:
            best = max(best, *(one.score or 0.0 for one in found))
            confirmed = _confirmed(found, devices, choice, best, how)
            if dropped:
                confirmed.notes.append(
                    f"{dropped} more lists overlap with those found and were left out"
                )
            return confirmed
    absent = choice.patterns is not None and not any(
        len(matching(launches, choice.patterns)) for launches in devices
    )
    reason = ""
    if absent:
        assert choice.patterns is not None
        reason = (
            f"no kernel of the model matches {_listed(choice.patterns)}; "
            f"the closest list of launches scores {best:.2f}"
        )
    return Found([], best, reason=reason)


def _confirmed(
    found: list[Hit], devices: list[Launches], choice: Choice, best: float, how: str
) -> Found:
    """By patterns, an occurrence has to hold one of the kernels that only the operator launches."""
    if choice.method == ALIGNMENT or not choice.patterns:
        return Found(found, best, how)
    kept, elsewhere = [], 0
    for launches in devices:
        anchors = matching(launches, choice.patterns)
        mine = [one for one in found if one.launches is launches]
        held = [one for one in mine if np.isin(one.places, anchors).any()]
        kept += held
        inside = np.concatenate([one.places for one in held]) if held else np.array([], np.int64)
        elsewhere += int((~np.isin(anchors, inside)).sum())
    notes = []
    if elsewhere:
        notes.append(f"{elsewhere} kernels of the operator lie in no occurrence")
    if len(kept) < len(found):
        notes.append(
            f"{len(found) - len(kept)} lists without a kernel of the operator were left out"
        )
    reason = "" if kept else f"no list of launches holds {_listed(choice.patterns)}"
    return Found(kept, best, how, reason, notes)


def _names(devices: list[Launches]) -> list[str]:
    return [name for launches in devices for name in launches.names]


def _listed(patterns: Patterns) -> str:
    return " or ".join(f"/{pattern.pattern}/" for pattern in patterns.values())
