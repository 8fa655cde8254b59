"""``align_op`` around code that calls its operators; on the CPU, where ATen calls are compared."""

from __future__ import annotations

import json

import pytest
import torch

from harness import align_op, benchmark_with_power
from harness.align.model import Verdict
from harness.errors import InputError
from harness.measure.hooks import on_benchmark
from harness.record.regions import open_regions

X = torch.randn(4, 32)
LINEAR = torch.nn.Linear(32, 32)


def forward() -> torch.Tensor:
    with torch.inference_mode():
        return LINEAR(X)


def forward_with_clone() -> torch.Tensor:
    return forward().clone()


def test_a_pair_of_equal_callables_is_aligned():
    with align_op("dsa", tp=8) as alignment:
        alignment.mock(forward, module=LINEAR, shared_weights=True)
        alignment.reference(forward, module=LINEAR)
    assert alignment.verdict is Verdict.ALIGNED
    assert alignment.results[0].check("numerics").status == "pass"
    assert alignment.results[0].check("data flow").status == "pass"


def test_a_mock_with_an_extra_clone_is_diverged():
    with align_op("dsa", tp=8) as alignment:
        alignment.mock(forward_with_clone)
        alignment.reference(forward)
    assert alignment.verdict is Verdict.DIVERGED
    assert alignment.results[0].check("extra").status == "fail"


def test_the_verdict_is_the_worst_of_all_pairs():
    with align_op("dsa") as alignment:
        for mock in (forward, forward_with_clone):
            alignment.mock(mock)
            alignment.reference(forward)
    assert [str(r.verdict) for r in alignment.results] == ["aligned", "diverged"]
    assert alignment.verdict is Verdict.DIVERGED


def test_outputs_that_differ_are_not_judged_unless_weights_are_said_to_be_shared():
    other = torch.nn.Linear(32, 32)

    def unlike() -> torch.Tensor:
        with torch.inference_mode():
            return other(X)

    for shared, status in ((False, "skipped"), (True, "fail")):
        with align_op("dsa") as alignment:
            alignment.mock(unlike, shared_weights=shared)
            alignment.reference(forward)
        assert alignment.results[0].check("numerics").status == status


@pytest.mark.filterwarnings("ignore:timed on the CPU:RuntimeWarning")
def test_a_benchmark_inside_the_block_is_a_mock_with_the_reference_that_was_given():
    with align_op("dsa", reference=forward) as alignment:
        for kernel in (forward, forward_with_clone):
            with benchmark_with_power("cpu", kernel, num_runs=2) as result:
                pass
            assert result["latency_ms"] > 0
    assert [str(r.verdict) for r in alignment.results] == ["aligned", "diverged"]


@pytest.mark.filterwarnings("ignore:timed on the CPU:RuntimeWarning")
def test_a_benchmark_without_a_reference_has_no_signal_and_says_how_to_name_one():
    with align_op("dsa", tp=8) as alignment, benchmark_with_power("cpu", forward):
        pass
    assert alignment.verdict is Verdict.NO_SIGNAL
    summary = alignment.results[0].summary
    assert "reference=" in summary
    assert "case=" in summary


@pytest.mark.filterwarnings("ignore:timed on the CPU:RuntimeWarning")
def test_the_operator_builds_the_reference_from_the_case_that_is_read_off_the_call():
    seen = []

    def case(call):
        seen.append(call.kernel_func)
        return {"phase": "generation", "kv_len": 96}

    with (
        align_op("dsa", tp=8, case=case, framework="transformers") as alignment,
        benchmark_with_power("cpu", forward),
    ):
        pass
    assert seen == [forward]
    assert alignment.results[0].case["kv_len"] == 96
    assert alignment.results[0].case["phase"] == "generation"
    assert alignment.verdict is Verdict.DIVERGED
    assert "in layer" in alignment.results[0].sides


def test_blocks_nest_and_each_keeps_its_own_pairs():
    with align_op("dsa") as outer:
        outer.mock(forward)
        with align_op("dsa") as inner:
            inner.mock(forward_with_clone)
            inner.reference(forward)
        assert inner.verdict is Verdict.DIVERGED
        outer.reference(forward)
    assert outer.verdict is Verdict.ALIGNED


def test_as_a_decorator_each_call_is_a_block_of_its_own():
    @align_op("dsa", reference=forward)
    def collect(kernel):
        with pytest.warns(RuntimeWarning), benchmark_with_power("cpu", kernel):
            return "collected"

    assert collect(forward) == "collected"
    assert collect.alignment.verdict is Verdict.ALIGNED
    collect(forward_with_clone)
    assert collect.alignment.verdict is Verdict.DIVERGED


def test_an_exception_inside_passes_through_and_leaves_nothing_enabled():
    kept = []

    def failing() -> None:
        with align_op("dsa") as alignment:
            kept.append(alignment)
            alignment.mock(forward)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    (alignment,) = kept
    assert alignment.results == []
    assert on_benchmark == []
    assert open_regions() == ()
    assert alignment.verdict is Verdict.NO_SIGNAL


def test_a_callable_that_fails_when_compared_leaves_nothing_enabled():
    def broken() -> None:
        raise RuntimeError("no such kernel")

    def comparing() -> None:
        with align_op("dsa") as alignment:
            alignment.mock(broken)
            alignment.reference(forward)

    with pytest.raises(RuntimeError, match="no such kernel"):
        comparing()
    assert on_benchmark == []
    assert open_regions() == ()


def test_the_evidence_of_all_pairs_is_written_to_one_file(tmp_path):
    with align_op("dsa", tp=8) as alignment:
        alignment.mock(forward)
        alignment.reference(forward)
    document = json.loads(alignment.write(tmp_path / "dsa.align.json").read_text())
    assert document["verdict"] == "aligned"
    assert len(document["results"]) == 1
    assert document["results"][0]["content_hash"]


def test_misuse_is_said_in_one_sentence():
    with align_op("dsa") as alignment:
        with pytest.raises(InputError, match=r"alignment\.mock first"):
            alignment.reference(forward)
        with pytest.raises(InputError, match="when the align_op block has ended"):
            _ = alignment.verdict
        alignment.mock(forward)
        with pytest.raises(InputError, match="called twice"):
            alignment.mock(forward)
        alignment.reference(forward)
    with pytest.raises(InputError, match="has ended"):
        alignment.mock(forward)


@pytest.mark.parametrize(
    "wrong",
    [
        {"op": "nosuch"},
        {"op": "dsa", "tp": 3},
        {"op": "dsa", "kv_len": -1},
        {"op": "dsa", "phase": "generation", "seq_len": 5, "kv_len": 6},
        {"op": "dsa", "tolerance": "x"},
        {"op": "dsa", "batch_size": 0},
        {"op": "dsa", "phase": "bogus"},
        {"op": "dsa", "dtype": "int3"},
        {"op": "dsa", "tp": "8"},
        {"op": "dsa", "framework": "nope"},
    ],
)
def test_wrong_arguments_are_refused_before_the_block_runs(wrong):
    with pytest.raises(InputError):
        align_op(**wrong)


def test_a_recorder_that_cannot_run_is_refused_before_the_block_runs():
    with pytest.raises(InputError, match="unknown recorder"):
        align_op("dsa", recorder="tape").__enter__()
    assert on_benchmark == []


def test_a_failure_while_comparing_leaves_the_session_finished():
    def broken() -> None:
        raise RuntimeError("no such kernel")

    kept = []

    def comparing() -> None:
        with align_op("dsa") as alignment:
            kept.append(alignment)
            alignment.mock(broken)
            alignment.reference(forward)

    with pytest.raises(RuntimeError):
        comparing()
    assert kept[0].verdict is Verdict.NO_SIGNAL


def test_outputs_of_other_shapes_are_judged_whatever_the_weights_are():
    with align_op("dsa") as alignment:
        alignment.mock(lambda: forward()[:2])
        alignment.reference(forward)
    assert alignment.results[0].check("numerics").status == "fail"


def test_a_mock_that_changes_with_every_call_is_found():
    calls = []

    def moody() -> torch.Tensor:
        calls.append(1)
        return forward().clone() if len(calls) % 2 else forward()

    with align_op("dsa") as alignment:
        alignment.mock(moody)
        alignment.reference(forward)
    assert alignment.results[0].check("repeats").status == "fail"


@pytest.mark.filterwarnings("ignore:timed on the CPU:RuntimeWarning")
def test_a_case_callable_that_returns_no_mapping_is_named():
    def collecting() -> None:
        with align_op("dsa", case=lambda call: None), benchmark_with_power("cpu", forward):
            pass

    with pytest.raises(InputError, match="case= returned NoneType"):
        collecting()
    assert on_benchmark == []
