"""NVTX ranges from CUPTI's MARKER records: which regions there are and which is open when."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record.cupti.fields import Kind
from harness.record.cupti.markers import ranges, region_at
from harness.trace import regions_table

MARKER = pytest.importorskip("cupti.cupti").activity_marker2_dtype
INSTANT, START, END = 1, 2, 4
PROCESS, THREAD = 1, 2
NAMES = {1000 + number: name for number, name in enumerate(["a", "b", "c", "d"])}
DOMAINS = {2000: "other", 2001: "harness"}
TEXTS = NAMES | DOMAINS


def text_of(address):
    return TEXTS[address]  # KeyError for 0: it must not be asked


def marker(flags, time, identifier, thread=7, name="a", domain=None, kind=THREAD):
    """One record, as CUPTI writes it: the end of a range has no name."""
    record = np.zeros(1, MARKER)
    record["kind"], record["flags_"] = Kind.MARKER, flags
    record["timestamp"], record["id"], record["object_kind"] = time, identifier, kind
    record["object_id"]["pt"]["process_id"] = 42
    record["object_id"]["pt"]["thread_id"] = thread
    addresses = {text: address for address, text in TEXTS.items()}
    record["name"] = 0 if flags == END else addresses[name]
    record["domain"] = 0 if domain is None else addresses[domain]
    return record


def regions(*records):
    stacked = np.concatenate(records) if records else np.zeros(0, MARKER)
    return ranges(stacked, text_of, 42, new_ids=itertools.count(10).__next__)


def around(identifier, start, end, **more):
    return marker(START, start, identifier, **more), marker(END, end, identifier, **more)


def test_pushed_ranges_nest_and_become_rows_of_a_regions_table():
    outer, inner = around(1, 100, 900), around(2, 200, 300, name="b", domain="other")
    rows, problems = regions(outer[0], inner[0], inner[1], outer[1])
    assert problems == []
    assert rows == [
        {
            "id": 10, "name": "a", "parent": None, "start_ns": 100, "end_ns": 900,
            "process": 42, "thread": 7, "domain": "",
        },
        {
            "id": 11, "name": "b", "parent": 10, "start_ns": 200, "end_ns": 300,
            "process": 42, "thread": 7, "domain": "other",
        },
    ]  # fmt: skip
    assert regions_table(rows).num_rows == 2
    times = np.array([99, 100, 199, 200, 299, 300, 899, 900], np.uint64)
    found = region_at(rows, np.full(8, 7, np.uint32), times)
    assert found.dtype == np.int64
    assert found.tolist() == [0, 10, 10, 11, 11, 10, 10, 0]


def test_threads_do_not_see_each_others_ranges():
    rows, _ = regions(*around(1, 100, 900, thread=7), *around(2, 200, 300, thread=8, name="b"))
    assert [row["parent"] for row in rows] == [None, None]
    threads = np.array([7, 8, 9, 8])
    assert region_at(rows, threads, np.array([250, 250, 250, 400])).tolist() == [10, 11, 0, 0]


def test_records_may_come_in_any_order():
    first, second = around(1, 100, 900), around(2, 200, 300)
    rows, problems = regions(second[1], first[1], second[0], first[0])
    assert not problems
    assert [(row["start_ns"], row["end_ns"]) for row in rows] == [(100, 900), (200, 300)]


def test_ranges_of_the_harness_are_left_out_and_instants_are_no_ranges():
    own = around(1, 100, 900, domain="harness")
    rows, problems = regions(*own, marker(INSTANT, 150, 5), *around(2, 200, 300, name="b"))
    assert [(row["name"], row["parent"]) for row in rows] == [("b", None)]
    assert not problems


def test_the_end_of_a_harness_range_needs_no_domain():
    start, end = around(1, 100, 900, domain="harness")
    end["domain"] = 0
    assert regions(start, end) == ([], [])


def test_a_range_that_never_ends_stays_open():
    rows, problems = regions(marker(START, 100, 1), *around(2, 200, 300, name="b"))
    assert not problems
    assert [(row["end_ns"], row["parent"]) for row in rows] == [(None, None), (300, 10)]
    assert region_at(rows, np.array([7, 7]), np.array([250, 10**18])).tolist() == [11, 10]


def test_ends_without_a_begin_are_counted():
    rows, problems = regions(marker(END, 100, 1), marker(END, 110, 2), *around(3, 200, 300))
    assert len(rows) == 1
    assert problems == ["2 NVTX ranges were begun before the recording and are no regions"]


def test_a_range_that_another_thread_ends_holds_nothing_and_hides_nothing():
    outer = around(1, 100, 900)
    crossing = marker(START, 200, 2, name="b"), marker(END, 250, 2, thread=8)
    inner = around(3, 220, 240, name="c")
    rows, problems = regions(outer[0], crossing[0], *inner, crossing[1], outer[1])
    assert not problems
    seen = [(row["name"], row["thread"], row["parent"]) for row in rows]
    assert seen == [("a", 7, None), ("b", None, None), ("c", 7, 10)]
    threads, times = np.array([7, 7, 8]), np.array([210, 230, 210])
    assert region_at(rows, threads, times).tolist() == [10, 12, 0]


def test_where_two_ranges_overlap_the_later_one_counts_and_neither_is_the_parent():
    rows, _ = regions(*around(1, 100, 300), *around(2, 200, 400, name="b"))
    assert [row["parent"] for row in rows] == [None, None]
    times = np.array([150, 250, 350, 450])
    assert region_at(rows, np.full(4, 7), times).tolist() == [10, 11, 11, 0]


def test_a_marker_of_something_else_than_a_thread_holds_nothing():
    rows, _ = regions(*around(1, 100, 300, kind=PROCESS))
    assert rows[0]["thread"] is None
    assert region_at(rows, np.array([7]), np.array([200])).tolist() == [0]


def test_no_markers_make_no_regions():
    assert regions() == ([], [])
    assert region_at([], np.array([7]), np.array([1])).tolist() == [0]


# By definition, slowly: ranges are (start, end or None, thread of the start, thread of the end).

_RANGE = st.tuples(
    st.integers(0, 30),
    st.one_of(st.none(), st.integers(0, 10)),
    st.integers(1, 2),
    st.sampled_from([0, 0, 0, 1]),
)


def _recorded(drawn):
    records = []
    for identifier, (start, length, thread, crosses) in enumerate(drawn, start=1):
        records.append(marker(START, start, identifier, thread=thread))
        if length is not None:
            end_thread = 3 - thread if crosses else thread
            records.append(marker(END, start + length, identifier, thread=end_thread))
    return regions(*records)


def _end(row):
    return float("inf") if row["end_ns"] is None else row["end_ns"]


@given(st.lists(_RANGE, max_size=12))
def test_the_innermost_range_is_the_last_begun_of_those_open(drawn):
    rows, problems = _recorded(drawn)
    assert not problems
    assert len(rows) == len(drawn)
    asked = list(itertools.product((1, 2, 3), range(45)))
    expected = []
    for thread, time in asked:
        open_then = [
            row["id"]
            for row in rows
            if row["thread"] == thread and row["start_ns"] <= time < _end(row)
        ]
        expected.append(max(open_then, default=0))
    threads, times = (np.array(column) for column in zip(*asked, strict=True))
    assert region_at(rows, threads, times).tolist() == expected


@given(st.lists(_RANGE, max_size=12))
def test_the_parent_is_the_last_begun_that_encloses_the_range(drawn):
    rows, _ = _recorded(drawn)
    assert [row["start_ns"] for row in rows] == sorted(row["start_ns"] for row in rows)
    for number, row in enumerate(rows):
        enclosing = [
            one["id"]
            for one in rows[:number]
            if None is not one["thread"] == row["thread"] and _end(one) >= _end(row)
        ]
        # what ended before this one began does not enclose it, as it would need to end after it
        assert row["parent"] == max(enclosing, default=None)


@st.composite
def _pushed_and_popped(draw):
    """Times at which one thread pushes (True) or pops (False)."""
    depth, steps = 0, []
    for push in draw(st.lists(st.booleans(), max_size=30)):
        if push or depth:
            depth += 1 if push else -1
            steps.append(push)
    return steps


@given(_pushed_and_popped())
def test_pushes_and_pops_give_back_their_stack(steps):
    records, stack, ids, parents, innermost = [], [], itertools.count(1), [], []
    for time, push in enumerate(steps):
        if push:
            parents.append(stack[-1] if stack else None)
            stack.append(next(ids))
            records.append(marker(START, time, stack[-1]))
        else:
            records.append(marker(END, time, stack.pop()))
        innermost.append(stack[-1] if stack else 0)
    rows, _ = ranges(
        np.concatenate(records) if records else np.zeros(0, MARKER),
        text_of,
        42,
        new_ids=itertools.count(1).__next__,
    )
    assert [row["parent"] for row in rows] == parents
    times = np.arange(len(steps))
    assert region_at(rows, np.full(len(steps), 7), times).tolist() == innermost
