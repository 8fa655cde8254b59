"""An occurrence as the search gives it, before it is put to a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.analyze.work import UNKNOWN
from harness.locate.launches import Ints, Launches


@dataclass(frozen=True, eq=False)
class Hit:
    """One occurrence on a device; scores and names as in `harness.locate.located.Occurrence`.

    Attributes:
        launches: of the device.
        places: into the arrays of ``launches``, ascending, shape (n,).
    """

    launches: Launches
    places: Ints
    score: float | None = None
    missing: int = 0
    extra: int = 0
    region: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Identity keys of its launches, in the order of the starts."""
        return tuple(self.launches.names[place] for place in self.places.tolist())

    @property
    def start_ns(self) -> int:
        """Start of its first launch, in ns; -1 where unknown."""
        return int(self.launches.starts[self.places[0]])

    @property
    def replay(self) -> int:
        """Number of the launch of the graph that holds all of it; `UNKNOWN` where none does."""
        numbers = self.launches.replays[self.places]
        first = int(numbers[0])
        return first if len(numbers) == 1 or bool((numbers == first).all()) else UNKNOWN


def on_devices(hits: Sequence[Hit]) -> Iterator[tuple[Launches, list[Hit]]]:
    """The launches of each device that has a hit, and its hits in the order of their starts."""
    devices: dict[int, list[Hit]] = {}
    for hit in hits:
        devices.setdefault(id(hit.launches), []).append(hit)
    for mine in devices.values():
        yield mine[0].launches, sorted(mine, key=lambda hit: int(hit.places[0]))
