"""A whole model as the reference of two files: when it is searched, and what the verdict says."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from harness.align.known import read_known
from harness.align.model import Status, Verdict
from harness.cli import run_command
from harness.compare.command import compare
from harness.compare.files import compare_files
from harness.compare.judged import _dimensions
from harness.compare.options import Options
from harness.errors import InputError
from harness.locate import Request
from harness.names import demangle
from harness.record.dispatch import DispatchRecorder
from harness.trace import Trace, TraceInfo, write_trace
from harness.trace.schema import ACTIVITIES
from ops.registry import operator
from tests.locate_support import h200, h200_mock, kernels, made, trace_of, without_regions

OPERATOR = [f"_Z2op{name}v" for name in "abcdefghijkl"]
REST = ["_Z2upv", "_Z3actv", "_Z4downv"]
OPTIONS = Options("", DispatchRecorder())
STRUCTURE = ("names", "counts", "order", "missing", "extra")


@pytest.fixture
def write(tmp_path):
    return lambda name, trace: write_trace(trace, tmp_path / name)


def judged(mock, reference, request=None, op=None, options=OPTIONS):
    return compare_files(mock, reference, options, request or Request(), op).alignment


def statuses(found, names=STRUCTURE):
    return {found.check(name).status for name in names}


def demangled(trace: Trace) -> Trace:
    """The same Trace as torch.profiler would name its kernels."""
    names = trace.activities["name"].cast(pa.string()).to_pylist()
    written = pa.array([None if name is None else demangle(name) for name in names])
    field = ACTIVITIES.field("name")
    place = trace.activities.schema.get_field_index("name")
    column = written.dictionary_encode().cast(field.type)
    return replace(trace, activities=trace.activities.set_column(place, field, column))


def model(layers: int, *, inside=(), steps: int = 3, **changes) -> Trace:
    """Steps in regions ``forward``, each of so many layers with the operator in them."""
    rows, regions, at = [], [{"id": 0, "name": "<outside>"}], 0
    for _ in range(steps):
        forward = len(regions)
        regions.append({"id": forward, "name": "forward"})
        parts = [(["_Z5embedv"], forward)]
        for layer in range(layers):
            regions.append(
                {"id": len(regions), "name": f"layers.{layer}.self_attn", "parent": forward}
            )
            parts += [([*OPERATOR, *inside], len(regions) - 1), (REST, forward)]
        for names, region in parts:
            made_rows = kernels(names, start=at)
            rows += [{**row, "region": region, **changes} for row in made_rows]
            at += 2000 * len(names)
        at += 50_000
    return made(rows, regions)


# names of other demanglers


def test_a_mangled_mock_is_compared_with_a_demangled_model_by_one_spelling(write):
    model_file = write("kineto.parquet", demangled(without_regions(h200())))
    found = judged(write("cupti.parquet", h200_mock("decode")), model_file)
    assert statuses(found) == {Status.PASS}
    assert found.check("counts").reason.startswith("66 per forward in the mock, 66 in")
    assert any("only the mock's kernel names are mangled" in note for note in found.notes)


def test_names_that_both_sides_mangle_are_compared_as_they_are(write):
    mangled = ["_ZN2ns4gemmIfEEvv", "_ZN2ns4normEv"]
    other = ["_ZN5other4gemmIfEEvv", "_ZN2ns4normEv"]
    found = judged(write("m.parquet", trace_of(mangled * 2)), write("r.parquet", trace_of(mangled)))
    assert not any("mangled" in note for note in found.notes)
    found = judged(
        write("m.parquet", trace_of(mangled)),
        write("r.parquet", trace_of(other)),
        Request(minimum=0.4),
    )
    assert found.check("names").status is Status.FAIL


# what is searched


def test_a_model_recorded_live_is_searched_though_its_steps_are_named_forward(write):
    mock = write("mock.parquet", trace_of(OPERATOR))
    found = judged(mock, write("model.parquet", model(4)))
    assert statuses(found) == {Status.PASS}
    assert any("of 12 occurrences located" in note for note in found.notes)


def test_a_region_that_was_named_is_located_also_inside_forwards(write):
    mock = write("mock.parquet", trace_of(OPERATOR[:-1]))
    found = judged(
        mock, write("model.parquet", model(1)), Request(region="layers.*.self_attn", minimum=0.5)
    )
    assert found.check("missing").reason.startswith("1 launch")
    assert any("by region" in note for note in found.notes)
    with pytest.raises(InputError, match="no region that matches 'nowhere'"):
        judged(mock, mock.parent / "model.parquet", Request(region="nowhere"))


def test_patterns_that_were_named_are_located_also_inside_forwards(write):
    mock = write("mock.parquet", trace_of(OPERATOR))
    found = judged(mock, write("model.parquet", model(1)), Request(patterns={"a": "opa"}))
    assert statuses(found) == {Status.PASS}


def test_the_region_of_the_op_is_used_where_the_model_has_it(write):
    mock = write("mock.parquet", trace_of(OPERATOR))
    found = judged(mock, write("model.parquet", model(1)), op=operator("dsa"))
    assert statuses(found) == {Status.PASS}
    assert any("by region" in note for note in found.notes)


def test_an_operator_that_launches_more_than_the_mock_at_an_end_is_not_taken_for_a_model(write):
    mock = write("mock.parquet", trace_of(OPERATOR[:-1]))
    alone = kernels(OPERATOR)
    reference = made([{**row, "region": 1} for row in alone], [{"id": 1, "name": "forward"}])
    found = judged(mock, write("reference.parquet", reference))
    assert found.verdict is Verdict.DIVERGED
    assert found.check("missing").status is Status.FAIL
    assert any("hold the mock's list once" in note for note in found.notes)
    assert any("name the operator's --region" in note for note in found.notes)


def test_forwards_without_the_mock_in_them_are_compared_whole_and_the_note_says_so(write):
    mock = write("mock.parquet", trace_of(["_Z1xv", "_Z1yv"]))
    found = judged(mock, write("model.parquet", model(4)))
    assert found.verdict is Verdict.DIVERGED
    assert any("do not hold the mock's list" in note for note in found.notes)


# a model without the operator


def test_a_verdict_is_written_where_the_operator_is_not_in_the_model(write, tmp_path, capsys):
    mock = write("mock.parquet", trace_of(OPERATOR))
    files = ["--from", str(mock), "--reference", str(write("m.parquet", trace_of(REST * 9)))]
    out = tmp_path / "out"
    assert run_command(compare, [*files, "--json", "--out", str(out)]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "no-signal"
    assert "scores 0.00, below 0.80" in document["summary"]
    assert "causes" in document
    assert json.loads((out / "evidence.json").read_text())["verdict"] == "no-signal"


def test_causes_of_the_search_stand_first(write, monkeypatch):
    from harness.compare import file_sides

    cause = {"name": "operator not in the model"}

    class Refused:
        found, method, reason, notes, causes = False, "alignment", "it is not there", (), (cause,)

    monkeypatch.setattr(file_sides, "locate", lambda *_: Refused)
    found = judged(write("m.parquet", trace_of(OPERATOR)), write("r.parquet", trace_of(REST)))
    assert found.causes[0] is cause


def test_a_model_that_lost_records_may_have_lost_the_operator(write):
    lost = replace(trace_of(REST * 9), info=TraceInfo("test", incomplete=("5 were dropped",)))
    found = judged(write("mock.parquet", trace_of(OPERATOR)), write("model.parquet", lost))
    assert found.verdict is Verdict.INVALID_CAPTURE
    assert "5 were dropped" in found.summary


def test_a_mock_that_holds_no_launch_has_a_verdict_too(write):
    found = judged(write("mock.parquet", made([])), write("model.parquet", trace_of(OPERATOR)))
    assert found.verdict is Verdict.NO_SIGNAL
    assert found.summary == "the mock launched nothing that was recorded"


# graphs


def in_graph(names, **changes):
    return made([{**row, "graph": 1, "correlation": 5, **changes} for row in kernels(names)])


def test_a_replay_against_an_eager_list_is_not_aligned(write):
    graph = write("graph.parquet", in_graph(OPERATOR))
    eager = write("eager.parquet", trace_of([*REST, *OPERATOR, *REST] * 3))
    found = judged(graph, eager)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the mock's list is of graph replays, the reference's eager" in found.summary
    graph = write("graph.parquet", in_graph([*REST, *OPERATOR, *REST]))
    found = judged(write("eager.parquet", trace_of(OPERATOR)), graph)
    assert "the reference's list is of graph replays, the mock's eager" in found.summary


def test_the_nodes_of_two_replays_are_counted_by_kind(write):
    rows = kernels([*OPERATOR, "DtoD"])
    rows = [{**row, "graph": 1, "correlation": 5} for row in rows]
    rows[-1] |= {"kind": "memcpy", "bytes": 64}
    both = write("both.parquet", made(rows))
    check = judged(both, both).check("graph")
    assert check.status is Status.PASS
    assert "12 kernel, 1 memcpy nodes each" in check.reason
    check = judged(both, write("other.parquet", in_graph(OPERATOR))).check("graph")
    assert check.status is Status.FAIL
    assert check.details == ("1 memcpy nodes in the mock, 0 in the reference",)


def test_a_part_that_is_launched_eagerly_is_seen(write):
    rows = [{**row, "graph": 1, "correlation": 5} for row in kernels(OPERATOR)]
    whole = write("whole.parquet", made(rows))
    rows[0].pop("graph")
    check = judged(write("piecewise.parquet", made(rows)), whole).check("graph")
    assert check.status is Status.FAIL
    assert "1 launches of the mock and 0 of the reference are eager" in check.details


def test_two_eager_lists_leave_graphs_to_a_run(write):
    eager = write("eager.parquet", trace_of(OPERATOR))
    check = judged(eager, eager).check("graph")
    assert check.status is Status.SKIPPED
    assert "both lists are eager" in check.reason


# the operator's name


def test_a_known_difference_of_an_op_holds_where_the_op_is_named(write, tmp_path):
    known = tmp_path / "known.toml"
    known.write_text(
        '[[known]]\nname = "extra"\nkernel = "extra"\nreason = "r"\neffect = "e"\n'
        'expires = 2999-01-01\ncase = { op = "dsa" }\n'
    )
    mock = write("mock.parquet", trace_of([*OPERATOR[:6], "_Z5extrav", *OPERATOR[6:]]))
    reference = write("reference.parquet", trace_of(OPERATOR))
    options = replace(OPTIONS, known=read_known(known))
    request = Request(minimum=0.5)
    assert judged(mock, reference, request, options=options).verdict is Verdict.DIVERGED
    found = judged(mock, reference, request, operator("dsa"), options)
    assert found.case["op"] == "dsa"
    assert found.check("extra").status is Status.KNOWN
    assert found.verdict is Verdict.ALIGNED


def test_causes_know_the_sizes_of_an_op_and_heads_only_where_tp_is_known():
    op = operator("dsa")
    assert _dimensions(op, {"op": "dsa"}) == {"index_topk": 2048}
    assert _dimensions(op, {"op": "dsa", "tp": 8}) == {"heads": 16, "index_topk": 2048}
