"""A recording is cut into its forwards in one pass, however many there are."""

from __future__ import annotations

from harness.align.forwards import split_forwards
from harness.trace import Trace, TraceInfo, activities_table, names_of, regions_table

REGIONS = [
    {"id": 9, "name": "forward"},
    {"id": 4, "name": "inside", "parent": 9},
    {"id": 2, "name": "forward"},
    {"id": 7, "name": "elsewhere"},
    {"id": 5, "name": "forward"},
]


def recorded(rows, regions=REGIONS):
    columns = ("name", "region", "launched_in")
    table = activities_table(
        [{"kind": "kernel", **dict(zip(columns, row, strict=True))} for row in rows]
    )
    return Trace(table, TraceInfo("test"), regions_table(regions))


def test_interleaved_launches_go_to_their_forwards_in_the_order_of_the_regions():
    trace = recorded(
        [
            ("a", 2, None),
            ("b", 9, None),
            ("c", 4, None),
            ("captured elsewhere", 7, 2),
            ("in none", 7, None),
            ("unknown", None, None),
            ("no such region", 99, None),
            ("d", 9, None),
        ]
    )
    found = [names_of(one) for one in split_forwards(trace)]
    assert found == [["b", "c", "d"], ["a", "captured elsewhere"], []]


def test_a_trace_without_forwards_has_none():
    assert split_forwards(recorded([("a", 7, None)], [{"id": 7, "name": "x"}])) == []


def test_the_activities_are_read_once_however_many_forwards_there_are(monkeypatch):
    read = []
    whole = Trace.launch_regions
    monkeypatch.setattr(Trace, "launch_regions", lambda trace: read.append(1) or whole(trace))
    regions = [{"id": number, "name": "forward"} for number in range(1, 301)]
    rows = [(f"k{number % 7}", number % 300 + 1, None) for number in range(3000)]
    found = split_forwards(recorded(rows, regions))
    assert [len(one) for one in found] == [10] * 300
    assert len(read) == 1
