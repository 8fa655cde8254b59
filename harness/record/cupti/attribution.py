"""Which call launched an activity, and in which region: both by correlation id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record.cupti.binding import CUSTOM0, CUSTOM1
from harness.record.cupti.decode import Records, Rows
from harness.record.cupti.fields import Kind
from harness.record.slots import Slots
from harness.trace.schema import OUTSIDE

REGION = CUSTOM0
"""Kind of external id that carries region ids."""

MARK = CUSTOM1
"""Kind of external id that marks the recorder's own launches."""

Ids = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


class Attribution:
    """Joins of the records of one recording.

    Args:
        records: of one recording.
        regions: region ids that the recorder attached.
        own: ids that the recorder attached to its own launches.

    Attributes:
        marks_seen: which of ``own`` were among the records.
        stray: ids of regions and marks whose call was not recorded.
    """

    def __init__(self, records: Records, regions: Collection[int], own: Collection[int]) -> None:
        external = records.of[Kind.EXTERNAL_CORRELATION]
        self._apis = [rows for api in (Kind.RUNTIME, Kind.DRIVER) if len(rows := records.of[api])]
        correlations = [rows["correlation_id"] for rows in self._apis]
        self._slots = Slots([*correlations, external["correlation_id"]])
        self._called = np.zeros(self._slots.count + 1, np.bool_)
        self._own = np.zeros(self._slots.count + 1, np.bool_)
        self._region = np.full(self._slots.count + 1, OUTSIDE, np.int64)
        for ids in correlations:
            self._called[self._slots.of(ids)] = True
        self.stray = 0
        self.marks_seen = self._mark(external, own)
        self._attach(external, regions)

    def _mark(self, external: Rows, own: Collection[int]) -> frozenset[int]:
        of_marks = np.flatnonzero(external["external_kind"] == MARK)
        identifiers = external["external_id"][of_marks].astype(np.int64)
        mine = np.isin(identifiers, _array(own))
        at = self._slots.of(external["correlation_id"][of_marks[mine]])
        self._own[at] = True
        self._count_stray(at)
        return frozenset(identifiers[mine].tolist())

    def _attach(self, external: Rows, regions: Collection[int]) -> None:
        if not regions:
            return
        identifiers = external["external_id"].astype(np.int64)
        inside = (external["external_kind"] == REGION) & np.isin(identifiers, _array(regions))
        if not inside.all():
            identifiers = identifiers[inside]
            at = self._slots.of(external["correlation_id"][inside])
        else:
            at = self._slots.of(external["correlation_id"])
        self._count_stray(at)
        self._region[at] = identifiers
        if not np.array_equal(self._region[at], identifiers):
            # More than one for a call: ids are counted up as regions are entered, so the largest
            # is the innermost.
            np.maximum.at(self._region, at, identifiers)

    def _count_stray(self, at: Ids) -> None:
        self.stray += len(at) - int(self._called[at].sum())

    def silent(self, launches: Mapping[int, Collection[int]], active: Array) -> Array:
        """Calls that succeeded and left no activity, though such calls do.

        Only those between the recorder's own first and last launch: beside them activities were
        not recorded yet, or no more.

        Args:
            launches: by kind of API record, the callback ids of such calls.
            active: correlation ids of the activities.

        Returns:
            Their correlation ids.
        """
        busy = np.zeros(self._slots.count + 1, np.bool_)
        busy[self._slots.of(active)] = True
        found = []
        marks = [
            rows["start"][self._own[self._slots.of(rows["correlation_id"])]] for rows in self._apis
        ]
        times = np.concatenate([np.empty(0, np.uint64), *marks])
        for rows in self._apis if len(times) else ():
            which = np.isin(rows["cbid"], list(launches.get(int(rows["kind"][0]), ())))
            which &= (rows["return_value"] == 0) & ~busy[self._slots.of(rows["correlation_id"])]
            which &= (rows["start"] > times.min()) & (rows["start"] < times.max())
            found.append(rows["correlation_id"][which])
        return np.concatenate([np.empty(0, np.int64), *found])

    def refine(self, region_of: Any) -> None:
        """Let ``region_of`` name another region for calls, by when and on which thread they ran.

        Args:
            region_of: function of (threads, start times in ns, regions so far), three arrays of
                shape (n,), that returns the regions to use.
        """
        for rows in self._apis:
            at = self._slots.of(rows["correlation_id"])
            self._region[at] = region_of(rows["thread_id"], rows["start"], self._region[at])

    def join(self, correlation: Array) -> Joined:
        """Look correlation ids up, in their order."""
        at = self._slots.of(correlation)
        return Joined(self._region[at], self._called[at], self._own[at])


@dataclass(frozen=True)
class Joined:
    """What is known by the correlation ids of some rows; arrays of shape (n,).

    Attributes:
        region: id of the innermost region of the launching call, OUTSIDE for none.
        called: whether that call was recorded.
        own: whether the recorder itself made it.
    """

    region: Ids
    called: npt.NDArray[np.bool_]
    own: npt.NDArray[np.bool_]


def _array(ids: Collection[int]) -> Ids:
    return np.fromiter(ids, np.int64, len(ids))
