"""Places of correlation ids in tables, so that joins by them need no sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

_DENSE = 8
"""A table may have so many times more places than there are ids, plus `_DENSE_ANYWAY`."""
_DENSE_ANYWAY = 1 << 16


class Slots:
    """Places of ids in tables: 1, 2, ... for the ids that are known, 0 for any other.

    Correlation ids are counted up, so the place is the id less the smallest one; only where that
    would waste memory are the ids searched for.
    """

    def __init__(self, known: Sequence[Array]) -> None:
        some = [ids for ids in known if len(ids)]
        low = min((int(ids.min()) for ids in some), default=0)
        high = max((int(ids.max()) for ids in some), default=-1)
        self._keys: Ids | None = None
        self._before = low - 1
        self.count = high - low + 1
        if self.count > _DENSE * sum(map(len, some)) + _DENSE_ANYWAY:
            self._keys = np.unique(np.concatenate(some).astype(np.int64))
            self.count = len(self._keys)

    def of(self, ids: Array) -> Ids:
        """The place of each id."""
        if self._keys is None:
            at: Ids = ids.astype(np.int64)
            at -= self._before
            if len(at) and (int(at.min()) < 1 or int(at.max()) > self.count):
                at[(at < 1) | (at > self.count)] = 0
            return at
        at = np.minimum(np.searchsorted(self._keys, ids), len(self._keys) - 1)
        return np.where(self._keys[at] == ids, at + 1, 0)
