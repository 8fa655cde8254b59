"""Models of four layers, recorded on an H200: every layer of every step is found blind."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from harness.locate import Request, locate
from harness.trace import Trace, read_trace
from harness.trace.schema import ACTIVITIES
from ops.registry import operator
from tests.locate_support import each, steps_and_layers, without_regions

FOLDER = Path(__file__).parent / "data" / "locate"
FRAMEWORKS = ("vllm", "transformers")


def recorded(framework: str, side: str) -> Trace:
    return read_trace(FOLDER / f"{framework}-generation-{side}.parquet")


def as_eager(trace: Trace) -> Trace:
    """The same activities without what says that they are nodes of a graph."""
    nothing = pa.nulls(len(trace), ACTIVITIES.field("graph").type)
    place = trace.activities.column_names.index("graph")
    table = trace.activities.set_column(place, ACTIVITIES.field("graph"), nothing)
    return replace(trace, activities=table)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_20_of_20_in_5_steps_of_4_layers_without_regions(framework):
    model = recorded(framework, "model")
    truth = locate(model, Request(region="*layers.*.self_attn"))
    found = locate(without_regions(model), Request(mock=recorded(framework, "mock")))
    assert found.method == "alignment"
    assert [one.rows for one in found.occurrences] == [one.rows for one in truth.occurrences]
    assert steps_and_layers(found) == steps_and_layers(truth) == each(5, 4)
    assert {one.score for one in found.occurrences} == {1.0}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_5_steps_of_4_layers_also_where_no_graph_tells_them(framework):
    model = as_eager(without_regions(recorded(framework, "model")))
    found = locate(model, Request(mock=recorded(framework, "mock")))
    assert steps_and_layers(found) == each(5, 4)
    assert "comes once in it" in found.steps_rule


def test_the_kernels_of_dsa_tell_the_same_20_in_vllm():
    model = recorded("vllm", "model")
    found = locate(without_regions(model), Request(patterns=operator("dsa").kernel_patterns))
    assert steps_and_layers(found) == each(5, 4)
    assert len(Counter(len(one.rows) for one in found.occurrences)) == 1
    assert not any("partial" in note for note in found.notes)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_mock_of_five_forwards_that_lost_their_regions_is_taken_once(framework):
    mock = without_regions(recorded(framework, "mock"))
    found = locate(without_regions(recorded(framework, "model")), Request(mock=mock))
    assert steps_and_layers(found) == each(5, 4)
    assert any("5 times over" in note for note in found.notes)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.parquet")), ids=lambda path: path.stem)
def test_the_files_name_no_machine(path):
    info = read_trace(path).info
    assert "uuid" not in info.gpu
    assert "/" not in repr(info).replace("+00:00", "")
