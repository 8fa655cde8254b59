"""Arrows from launch calls to what they launched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from harness.analyze.selection import Ints, has_values, ints
from harness.trace import Trace

NO_FLOW = -1
_UNKNOWN = -1


@dataclass(frozen=True)
class Flows:
    """Numbers of arrows, `NO_FLOW` for none.

    Attributes:
        of_activity: shape (activities,); of what one call launched only the first has an arrow.
        of_call: shape (calls,).
    """

    of_activity: Ints
    of_call: Ints


def flows_of(trace: Trace) -> Flows:
    """Join the calls and activities that have times by process and correlation id."""
    both = np.concatenate([_keys(trace.calls), _keys(trace.activities)])
    _, keys = np.unique(both, axis=0, return_inverse=True)
    shown = [
        has_values(one, "name", "start_ns", "end_ns") for one in (trace.calls, trace.activities)
    ]
    known = np.flatnonzero((both[:, 1] != _UNKNOWN) & np.concatenate(shown))
    calls = trace.calls.num_rows
    last_call = np.full(len(both), NO_FLOW, np.int64)
    first = np.full(len(both), NO_FLOW, np.int64)
    of_calls, of_activities = known[known < calls], known[known >= calls]
    last_call[keys[of_calls]] = of_calls
    first[keys[of_activities[::-1]]] = of_activities[::-1] - calls  # NumPy keeps the last written
    number = np.where((last_call != NO_FLOW) & (first != NO_FLOW), np.arange(len(both)), NO_FLOW)
    drawn = np.flatnonzero(number != NO_FLOW)
    flows = Flows(np.full(len(trace), NO_FLOW, np.int64), np.full(calls, NO_FLOW, np.int64))
    flows.of_activity[first[drawn]] = drawn
    flows.of_call[last_call[drawn]] = drawn
    return flows


def _keys(table: pa.Table) -> Ints:
    columns = [ints(table[name], _UNKNOWN) for name in ("process", "correlation")]
    return np.stack(columns, axis=1)
