"""What is looked for by its list, and what was found of it on a device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from harness.locate.launches import Ints, Launches, by_stream


@dataclass(frozen=True, eq=False)
class Match:
    """Launches of one device that are the mock's, a few edits aside.

    Attributes:
        places: into the arrays of the device's `Launches`, ascending.
        matched: how many of them are launches of the mock.
        score: 1 - edits / launches of the mock.
        missing, extra: as in `harness.locate.located.Occurrence`.
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
