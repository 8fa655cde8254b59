"""No Trace, however odd its values, makes an analysis crash."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from harness.analyze import (
    api_summary,
    kernel_summary,
    memory_summary,
    range_projection,
    range_summary,
)
from harness.analyze.figures import figures
from harness.analyze.gaps import gaps
from harness.analyze.ranges import ranges
from harness.analyze.steps import steps
from harness.errors import InputError, NoSignalError
from harness.trace import Trace, TraceInfo, activities_table, calls_table, regions_table

TIME = st.none() | st.integers(-5, 40) | st.sampled_from([2**62, 1_780_000_000_000_000_000])
SMALL = st.none() | st.integers(0, 3)
NAME = st.none() | st.sampled_from(["m", "_Z1fv", "a::b<c>(d)", "HtoD", ""])

ACTIVITY = st.fixed_dictionaries(
    {
        "kind": st.none() | st.sampled_from(["kernel", "memcpy", "memset", "graph", "op"]),
        "name": NAME, "start_ns": TIME, "end_ns": TIME, "process": SMALL, "device": SMALL,
        "stream": SMALL, "correlation": SMALL, "region": SMALL, "launched_in": SMALL,
    }
)  # fmt: skip
REGION = st.fixed_dictionaries(
    {
        "id": st.integers(0, 3), "name": NAME, "parent": SMALL, "start_ns": TIME, "end_ns": TIME,
        "process": SMALL, "thread": SMALL, "domain": NAME,
        "style": st.none() | st.sampled_from(["PushPop", "Mark"]),
    }
)  # fmt: skip
CALL = st.fixed_dictionaries(
    {
        "name": NAME, "start_ns": TIME, "end_ns": TIME, "process": SMALL, "thread": SMALL,
        "correlation": SMALL,
    }
)  # fmt: skip


def traces(activity=ACTIVITY):
    return st.builds(
        lambda activities, regions, calls: Trace(
            activities_table(activities),
            TraceInfo("test"),
            regions_table(regions),
            calls_table(calls),
        ),
        st.lists(activity, max_size=8),
        st.lists(REGION, max_size=4),
        st.lists(CALL, max_size=4),
    )


@given(traces())
def test_tables_are_made_of_any_trace(trace):
    tables = (kernel_summary, memory_summary, api_summary, range_summary, range_projection, ranges)
    for table in tables:
        assert table(trace).num_rows >= 0


@given(traces())
def test_idle_time_is_found_or_refused_with_a_reason(trace):
    for analysis in (gaps, figures):
        with suppress(NoSignalError):
            analysis(trace)


@given(traces())
def test_steps_are_found_or_refused_with_a_reason(trace):
    for asked in ({"marker": "m"}, {"region": "*"}, {"period": True}):
        with suppress(NoSignalError, InputError):
            steps(trace, **asked)
