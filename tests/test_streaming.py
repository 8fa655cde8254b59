"""Weight streaming: roles of ranges, ideal against actual time, cache lookups, findings."""

from __future__ import annotations

import pytest

from harness.analyze.range_roles import read_patterns
from harness.analyze.rules import Status
from harness.analyze.streaming import streaming
from harness.errors import InputError
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from tests.streaming_support import BYTES, COMPUTE, COPY, LAYERS, PAUSE, streamed


def found(report):
    return {finding.rule for finding in report.findings if finding.status is Status.FOUND}


def by_pattern(report):
    return {row["pattern"]: row for row in report.roles.to_pylist()}


@pytest.mark.parametrize(
    ("name", "role", "layer"),
    [
        ("ensure_layer_3", "load", 3),
        ("h2d_transfer_12", "transfer", 12),
        ("prefetch_4", "prefetch", 4),
        ("evict_2", "eviction", 2),
        ("layer_7", "layer", 7),
        ("layer_7_attention", "layer", 7),
        ("layer_7_kv_fetch", "fetch", 7),
        ("prefetch_next", "prefetch", None),
    ],
)
def test_the_shipped_patterns_know_roles_and_layers(name, role, layer):
    match = read_patterns().match(name)
    assert (match.role, match.layer) == (role, layer)


@pytest.mark.parametrize("name", ["layer_norm", "my_layer_3", "Prefetch_3", "transfer_3", ""])
def test_other_names_have_no_role(name):
    assert read_patterns().match(name) is None


def test_without_prefetch_a_layer_takes_its_copy_and_then_its_compute():
    report = streaming(streamed(prefetch=False))
    for row in report.layers.to_pylist():
        assert (row["compute_ns"], row["copy_ns"], row["own_bytes"]) == (COMPUTE, COPY, BYTES)
        assert row["ideal_ns"] == COMPUTE
        assert row["actual_ns"] == COPY + PAUSE + COMPUTE
        assert row["lost_ns"] == COPY + PAUSE
    assert {"streaming slower than ideal", "no prefetch", "cache misses"} <= found(report)


def test_with_prefetch_only_the_first_copy_stands_alone():
    report = streaming(streamed(prefetch=True))
    assert [row["actual_ns"] for row in report.layers.to_pylist()] == [
        COPY + PAUSE + COMPUTE,
        PAUSE + COMPUTE,
        PAUSE + COMPUTE,
    ]
    assert by_pattern(report)["prefetch_*"]["overlapped_copy_ns"] == (LAYERS - 1) * COPY
    assert "no prefetch" not in found(report)


def test_slots_of_all_layers_are_the_time_that_the_layers_took():
    for passes in (1, 2, 3):
        trace = streamed(prefetch=True, passes=passes)
        report = streaming(trace)
        starts = trace.activities["start_ns"].to_pylist()
        ends = trace.activities["end_ns"].to_pylist()
        assert report.numbers["actual_ns"] == max(ends) - min(starts)
        assert report.numbers["layer_instances"] == passes * LAYERS


def test_time_between_two_passes_belongs_to_no_layer():
    rows = [
        {"kind": "kernel", "name": "gemm", "start_ns": start, "end_ns": start + 10, "region": 1}
        for start in (0, 1000)
    ]
    rows[1]["region"] = 2
    regions = [{"id": 1, "name": "layer_0"}, {"id": 2, "name": "layer_0"}]
    trace = Trace(activities_table(rows), TraceInfo("test"), regions_table(regions))
    (row,) = streaming(trace).layers.to_pylist()
    assert (row["instances"], row["actual_ns"]) == (2, 20)


def test_ranges_of_one_layer_inside_each_other_are_one_instance():
    rows = [
        {"kind": "kernel", "name": "gemm", "start_ns": start, "end_ns": start + 10, "region": id}
        for start, id in ((0, 2), (20, 3))
    ]
    regions = [
        {"id": 1, "name": "layer_0"},
        {"id": 2, "name": "layer_0_attention", "parent": 1},
        {"id": 3, "name": "layer_0_mlp", "parent": 1},
    ]
    trace = Trace(activities_table(rows), TraceInfo("test"), regions_table(regions))
    (row,) = streaming(trace).layers.to_pylist()
    assert (row["instances"], row["actual_ns"], row["compute_ns"]) == (1, 30, 20)


def test_copies_of_nested_ranges_count_in_the_range_around_them():
    rows = by_pattern(streaming(streamed(prefetch=False)))
    assert rows["h2d_transfer_*"]["bytes"] == LAYERS * BYTES
    assert rows["ensure_layer_*"]["bytes"] == LAYERS * BYTES


def test_hits_and_misses_are_counted_by_name():
    assert streaming(streamed(prefetch=True)).numbers["hit_share_of_lookups"] == 1
    numbers = streaming(streamed(prefetch=False)).numbers
    assert (numbers["hits"], numbers["misses"]) == (0, LAYERS)


def test_bytes_that_a_source_does_not_give_are_not_taken_for_none():
    rows = [
        {"kind": "memcpy", "name": "HtoD", "start_ns": 0, "end_ns": 9, "region": 1, "bytes": size}
        for size in (5, None)
    ]
    regions = regions_table([{"id": 1, "name": "prefetch_0"}])
    report = streaming(Trace(activities_table(rows), TraceInfo("test"), regions))
    assert by_pattern(report)["prefetch_*"]["bytes"] is None
    assert report.numbers["copy_bytes_per_s"] is None


def test_without_such_ranges_the_report_is_empty_and_says_why():
    rows = [{"kind": "kernel", "name": "gemm", "start_ns": 0, "end_ns": 9}]
    report = streaming(Trace(activities_table(rows), TraceInfo("test")))
    assert (report.roles.num_rows, report.layers.num_rows, report.findings) == (0, 0, ())
    assert report.notes == ("no range of the Trace matches a pattern of weight streaming",)


def test_names_of_ones_own_can_be_given(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[roles]\ntransfer = ["prefetch_*"]\nlayer = ["layer_*"]\n')
    report = streaming(streamed(prefetch=True), own)
    assert {row["role"] for row in report.roles.to_pylist()} == {"transfer", "layer"}
    assert report.findings == ()


@pytest.mark.parametrize(
    "text",
    [
        "no toml",
        "roles = 3\n",
        "[roles]\nload = 'ensure_*'\n",
        "[roles]\nload = ['ensure_*']\n",
        "[roles]\nlayer = ['l*']\n[[rule]]\nname = 'x'\n",
        "[roles]\nlayer = ['l*']\n[[rule]]\nname='x'\nstatement=''\nadvice=''\nbelow={a='b'}\n",
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, text):
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(InputError, match=r"own\.toml"):
        streaming(streamed(prefetch=True), own)
