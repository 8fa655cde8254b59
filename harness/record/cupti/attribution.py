"""Which call launched an activity, and in which region: both by correlation id."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.record.cupti.binding import CUSTOM0, CUSTOM1
from harness.record.cupti.decode import Records
from harness.record.cupti.layout import Kind

REGION = CUSTOM0
"""Kind of external id that carries region ids."""

MARK = CUSTOM1
"""Kind of external id that marks the recorder's own launches."""

Rows = npt.NDArray[np.void]
Ids = npt.NDArray[np.int64]


class Attribution:
    """Joins of the records of one recording.

    Args:
        records: of one recording.
        regions: region ids that the recorder attached.
        own: ids that the recorder attached to its own launches.
    """

    def __init__(self, records: Records, regions: Collection[int], own: Collection[int]) -> None:
        external = records.of[Kind.EXTERNAL_CORRELATION]
        kind, identifier = external["external_kind"], external["external_id"].astype(np.int64)
        correlation = external["correlation_id"].astype(np.int64)
        marked = (kind == MARK) & np.isin(identifier, _array(own))
        self.marks_seen: frozenset[int] = frozenset(np.unique(identifier[marked]).tolist())
        self._own = np.unique(correlation[marked])
        inside = (kind == REGION) & np.isin(identifier, _array(regions))
        self._keys, self._regions = _last_of_each(correlation[inside], identifier[inside])
        self._called = np.unique(
            np.concatenate(
                [records.of[api]["correlation_id"] for api in (Kind.RUNTIME, Kind.DRIVER)]
            ).astype(np.int64)
        )

    def without_own(self, rows: Rows) -> Rows:
        """The rows that the recorder did not cause itself."""
        kept: Rows = rows[~np.isin(rows["correlation_id"].astype(np.int64), self._own)]
        return kept

    def launched(self, correlation: Ids) -> npt.NDArray[np.bool_]:
        """Whether the API call with this correlation id was recorded."""
        return np.isin(correlation, self._called)

    def regions_of(self, correlation: Ids) -> pa.Array:
        """Id of the innermost region of each correlation id; null outside every region."""
        if len(self._keys) == 0:
            return pa.nulls(len(correlation), pa.int64())
        at = np.minimum(np.searchsorted(self._keys, correlation), len(self._keys) - 1)
        return pa.array(self._regions[at], mask=self._keys[at] != correlation)


def _array(ids: Collection[int]) -> Ids:
    return np.fromiter(ids, np.int64, len(ids))


def _last_of_each(keys: Ids, values: Ids) -> tuple[Any, Any]:
    """Distinct keys, sorted, each with its largest value: of nested regions the innermost, since
    ids are counted up as regions are entered."""
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    last = np.append(keys[1:] != keys[:-1], True) if len(keys) else np.empty(0, np.bool_)
    return keys[last], values[last]
