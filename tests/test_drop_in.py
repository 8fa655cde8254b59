"""``align_op(patch=)`` around a collector that is not edited (tests/collector_package); on the CPU.

ATen calls are compared, against a linear layer with 4 rows.
"""

from __future__ import annotations

import csv
import gc
import importlib
import json
import multiprocessing
import sys
import weakref
from pathlib import Path

import pytest
import torch

from harness import align_op, benchmark_with_power
from harness.align.model import Verdict
from harness.errors import InputError
from harness.measure.hooks import on_benchmark
from harness.report.evidence import content_hash
from harness.session.worker import Worker
from tests.drop_in_support import collector_on_path, sidecar_of

pytestmark = pytest.mark.filterwarnings("ignore:timed on the CPU:RuntimeWarning")

HELPER = "collector.helper"


@pytest.fixture(autouse=True)
def _collector(monkeypatch):
    yield from collector_on_path(monkeypatch)


@pytest.fixture
def csv_file(tmp_path):
    return str(tmp_path / "linear_perf.txt")


@pytest.fixture
def reference():
    return importlib.import_module("collector.collect").reference


def module(name):
    return importlib.import_module(name)


def rows_of(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_name_of_the_benchmark_is_replaced_and_put_back(csv_file):
    package, alone = module(HELPER), module("helper")
    linear, double = module("collector.ops.collect_linear"), module("collector.ops.collect_double")
    before = [package.benchmark_with_power, alone.benchmark_with_power, package.log_perf]
    assert before[0] is not before[1]
    with align_op("dsa", patch=HELPER) as alignment:
        assert linear.benchmark_with_power is package.benchmark_with_power is not before[0]
        assert double.bench is alone.benchmark_with_power is not before[1]
        assert len(linear.run_linear(4, csv_file)["samples_ms"]) == 2
        assert len(double.run_double(4, csv_file)["samples_ms"]) == 2
    assert package.CALLS == alone.CALLS == []
    assert len(alignment.results) == 2
    after = [package.benchmark_with_power, alone.benchmark_with_power, package.log_perf]
    assert after == before
    assert (linear.benchmark_with_power, double.bench) == (before[0], before[1])
    assert linear.log_perf is before[2]


def test_what_is_imported_later_is_replaced_too_and_put_back(csv_file, reference):
    with align_op("dsa", patch=HELPER, reference=reference) as alignment:
        linear = module("collector.ops.collect_linear")
        double = module("collector.ops.collect_double")  # imports the helper as another module
        linear.run_linear(4, csv_file)
        double.run_double(4, csv_file)
    assert [str(one.verdict) for one in alignment.results] == ["aligned", "diverged"]
    assert linear.benchmark_with_power is module(HELPER).benchmark_with_power
    assert double.bench is module("helper").benchmark_with_power
    linear.run_linear(4, csv_file)
    double.run_double(4, csv_file)
    assert len(module(HELPER).CALLS) == len(module("helper").CALLS) == 1


def test_a_helper_that_is_reloaded_inside_the_block_is_replaced_again(csv_file, reference):
    linear = module("collector.ops.collect_linear")
    with align_op("dsa", patch=HELPER, reference=reference) as alignment:
        importlib.reload(module(HELPER))
        importlib.reload(linear)
        linear.run_linear(4, csv_file)
    assert alignment.verdict is Verdict.ALIGNED
    assert linear.benchmark_with_power is module(HELPER).benchmark_with_power
    assert linear.benchmark_with_power.__module__ == HELPER
    finders = [type(one).__module__ for one in sys.meta_path]
    assert "harness.session.imports" not in finders


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_puts_everything_back(error):
    helper = module(HELPER)
    before = dict(vars(helper))

    def failing():
        with align_op("dsa", patch=HELPER):
            assert helper.benchmark_with_power is not before["benchmark_with_power"]
            raise error

    with pytest.raises(error):
        failing()
    assert dict(vars(helper)) == before
    assert on_benchmark == []


def test_a_failure_to_compare_puts_everything_back(csv_file):
    helper, linear = module(HELPER), module("collector.ops.collect_linear")
    before = dict(vars(helper))

    def broken():
        raise RuntimeError("no such kernel")

    def failing():
        with align_op("dsa", patch=HELPER, reference=broken):
            linear.run_linear(4, csv_file)

    with pytest.raises(RuntimeError, match="no such kernel"):
        failing()
    assert dict(vars(helper)) == before
    (line,) = sidecar_of(csv_file)
    assert line["verdict"] is None
    assert "no such kernel" in line["calls"][0]["summary"]


def test_the_csv_is_what_it_would_be_and_the_sidecar_has_a_line_per_row(csv_file, reference):
    linear = module("collector.ops.collect_linear")
    with align_op("dsa", patch=HELPER, reference=reference):
        for rows in (4, 8):
            linear.run_linear(rows, csv_file)
    rows, lines = rows_of(csv_file), sidecar_of(csv_file)
    linear.run_linear(4, csv_file + ".without")
    assert list(rows[0]) == list(rows_of(csv_file + ".without")[0])
    assert [line["verdict"] for line in lines] == ["aligned", "diverged"]
    for row, line in zip(rows, lines, strict=True):
        key = {name: str(value) for name, value in line["key"].items()}
        assert key == {name: value for name, value in row.items() if name != "latency"}
        assert float(row["latency"]) == line["metrics"]["latency"]
        assert line["linked_by"] == "the latency of the call"
        assert line["content_hash"] == content_hash(line)
        (call,) = line["calls"]
        assert call["measured"]["latency_ms"] == line["metrics"]["latency"]
        assert call["kernels"]
        assert call["checks"]["names"].startswith("pass")


def test_a_row_with_another_figure_belongs_to_the_calls_since_the_row_before(csv_file):
    linear, double = module("collector.ops.collect_linear"), module("collector.ops.collect_double")
    with align_op("dsa", patch=HELPER):
        linear.run_linear(4, csv_file)
        double.run_double(4, csv_file)
    by_latency, by_order = sidecar_of(csv_file)
    assert by_latency["linked_by"] == "the latency of the call"
    assert by_order["linked_by"] == "the calls since the row before"
    assert len(by_order["calls"]) == 1
    assert by_order["key"]["op_name"] == "double"


def test_rows_written_after_all_calls_find_theirs_by_the_latency(csv_file, reference):
    helper = module(HELPER)
    linear = torch.nn.Linear(32, 32)
    with align_op("dsa", patch=HELPER, reference=reference):
        items = []
        for rows in (4, 8):
            x = torch.ones(rows, 32)
            with (
                torch.inference_mode(),
                helper.benchmark_with_power("cpu", lambda x=x: linear(x)) as results,
            ):
                items.append({"rows": rows, "latency": str(results["latency_ms"])})
        helper.log_perf(items, "torch", "1", "cpu", "linear", "default", csv_file)
    lines = sidecar_of(csv_file)
    assert [line["key"]["rows"] for line in lines] == [4, 8]
    assert [len(line["calls"]) for line in lines] == [1, 1]
    sizes = [line["calls"][0]["measured"]["latency_ms"] for line in lines]
    assert sizes == [float(item["latency"]) for item in items]


def test_a_row_that_rests_on_no_call_has_no_line(csv_file):
    with align_op("dsa", patch=HELPER):
        module(HELPER).log_perf([{"latency": 1.0}], "torch", "1", "cpu", "x", "y", csv_file)
    assert len(rows_of(csv_file)) == 1
    assert not Path(csv_file + ".align.jsonl").exists()


def test_the_kernels_are_in_the_result_when_the_block_has_ended(csv_file, reference):
    linear = module("collector.ops.collect_linear")
    with align_op("dsa", patch=HELPER, reference=reference):
        results = linear.run_linear(4, csv_file)
        assert "kernels" not in results
    assert [one["name"] for one in results["kernels"]] == ["aten::linear"]


def test_comparing_each_at_once_makes_kernels_known_in_the_body_and_lets_go_of_the_call(reference):
    linear, held = torch.nn.Linear(32, 32), []
    with align_op("dsa", patch=HELPER, reference=reference, compare="each") as alignment:
        for number in (1, 2):
            x = torch.ones(4, 32)
            held.append(weakref.ref(x))
            with (
                torch.inference_mode(),
                module(HELPER).benchmark_with_power("cpu", lambda x=x: linear(x)) as results,
            ):
                assert results["kernels"]
                assert len(alignment.results) == number
        del x
        gc.collect()
        assert [one() for one in held] == [None, None]
    assert alignment.verdict is Verdict.ALIGNED


def test_pairs_are_compared_at_once_too(reference):
    with align_op("dsa", compare="each") as alignment:
        alignment.mock(reference)
        alignment.reference(reference)
        assert len(alignment.results) == 1
    assert alignment.verdict is Verdict.ALIGNED


@pytest.mark.parametrize("compare", ["end", "each"])
def test_spawned_workers_that_ask_for_a_restart_are_compared(csv_file, reference, compare):
    collect = module("collector.collect")
    with align_op("dsa", patch=HELPER, reference=reference, compare=compare) as alignment:
        codes = collect.collect([4, 8, 4], csv_file)
    assert codes == [10, 0]
    assert [str(one.verdict) for one in alignment.results] == ["aligned", "diverged", "aligned"]
    assert [worker.problem for worker in alignment.workers] == ["", ""]
    assert [worker.exit_code for worker in alignment.workers] == codes
    assert [line["key"]["rows"] for line in sidecar_of(csv_file)] == [4, 8, 4]


def test_a_worker_that_leaves_without_notice_is_no_aligned_result(csv_file, reference, tmp_path):
    collect = module("collector.collect")
    with align_op("dsa", patch=HELPER, reference=reference) as alignment:
        collect.collect([4, 4], csv_file, how="os._exit")
    assert alignment.results == []
    assert alignment.verdict is Verdict.INVALID_CAPTURE
    (worker,) = alignment.workers
    assert worker.problem.startswith("2 of 2 benchmark calls were not compared: it ended with exit")
    assert "compare='each'" in worker.problem
    document = json.loads(alignment.write(tmp_path / "found.json").read_text())
    assert document["workers"][0]["problem"] == worker.problem


def test_comparing_each_at_once_loses_nothing_of_such_a_worker(csv_file, reference):
    collect = module("collector.collect")
    with align_op("dsa", patch=HELPER, reference=reference, compare="each") as alignment:
        assert collect.collect([4, 4], csv_file, how="os._exit") == [10]
    assert [str(one.verdict) for one in alignment.results] == ["aligned", "aligned"]
    assert alignment.verdict is Verdict.ALIGNED


def test_a_worker_that_fails_keeps_its_exit_code_and_is_named(csv_file, reference):
    collect = module("collector.collect")
    with align_op("dsa", patch=HELPER, reference=reference) as alignment:
        assert collect.collect([4], csv_file, how="raise") == [1]
    assert "it ended by ValueError" in alignment.workers[0].problem
    assert sidecar_of(csv_file)[0]["calls"][0]["summary"] == "the block ended by ValueError"


def test_a_worker_whose_block_cannot_be_entered_collects_all_the_same(tmp_path):
    log = tmp_path / "log"
    worker = Worker(lambda: "collected", {"op": "dsa", "patch": "collector.nosuch"}, log)
    assert worker() == "collected"
    assert b"its block was not entered" in log.read_bytes()


def test_a_worker_that_outlives_the_block_is_named(reference):
    context = multiprocessing.get_context("spawn")
    gate = context.Event()
    with align_op("dsa", patch=HELPER, reference=reference) as alignment:
        process = context.Process(target=gate.wait)
        process.start()
    gate.set()
    process.join()
    assert alignment.workers[0].problem.startswith("it still ran when the block ended")
    assert alignment.verdict is Verdict.INVALID_CAPTURE


def test_a_process_that_cannot_be_wrapped_is_named():
    class Own(multiprocessing.get_context("fork").Process):
        def run(self):
            pass

    with align_op("dsa", patch=HELPER) as alignment:
        process = Own()
        process.start()
        process.join()
    assert "overrides run()" in alignment.workers[0].problem


def test_a_process_that_serves_opens_no_block():
    with (
        align_op("dsa", patch=HELPER) as alignment,
        multiprocessing.get_context("spawn").Manager() as manager,
    ):
        assert manager.list([1])[0] == 1
    assert alignment.workers == []


def test_a_function_that_no_worker_can_be_sent_is_refused(csv_file):
    def collecting():
        with align_op("dsa", patch=HELPER, case=lambda call: {}):
            module("collector.collect").collect([4], csv_file)

    with pytest.raises(InputError, match=r"align_op\(case=...\) cannot be sent"):
        collecting()


def test_leaving_by_sys_exit_is_no_failure(csv_file, reference):
    linear, kept = module("collector.ops.collect_linear"), []

    def main():
        with align_op("dsa", patch=HELPER, reference=reference) as alignment:
            kept.append(alignment)
            linear.run_linear(4, csv_file)
            sys.exit(0)

    with pytest.raises(SystemExit):
        main()
    assert kept[0].verdict is Verdict.ALIGNED
    assert sidecar_of(csv_file)[0]["verdict"] == "aligned"


def test_an_exception_leaves_lines_that_say_so(csv_file):
    linear = module("collector.ops.collect_linear")

    def main():
        with align_op("dsa", patch=HELPER):
            linear.run_linear(4, csv_file)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        main()
    (line,) = sidecar_of(csv_file)
    assert line["verdict"] is None
    assert line["calls"][0]["summary"] == "the block ended by KeyError"


def test_blocks_nest_and_each_call_belongs_to_the_innermost(csv_file, reference):
    linear, helper = module("collector.ops.collect_linear"), module(HELPER)
    before = helper.benchmark_with_power
    with align_op("dsa", patch=HELPER, reference=reference) as outer:
        linear.run_linear(4, csv_file)
        with align_op("dsa", patch=HELPER, reference=reference) as inner:
            linear.run_linear(8, csv_file)
        linear.run_linear(4, csv_file)
    assert [str(one.verdict) for one in inner.results] == ["diverged"]
    assert [str(one.verdict) for one in outer.results] == ["aligned", "aligned"]
    assert len(sidecar_of(csv_file)) == 3
    assert linear.benchmark_with_power is helper.benchmark_with_power is before


def test_a_collector_that_imports_ours_keeps_it_and_gets_a_sidecar(csv_file):
    helper = module(HELPER)
    helper.benchmark_with_power = benchmark_with_power
    with align_op("dsa", patch=HELPER):
        assert helper.benchmark_with_power is benchmark_with_power
        with helper.benchmark_with_power("cpu", lambda: None) as results:
            item = {"latency": results["latency_ms"]}
            helper.log_perf([item], "torch", "1", "cpu", "none", "default", csv_file)
    assert len(sidecar_of(csv_file)) == 1


def test_the_collectors_own_defaults_hold():
    helper = module(HELPER)

    def benchmark(device, kernel_func, num_runs=4):
        raise AssertionError("was not replaced")

    helper.benchmark_with_power = benchmark
    with (
        align_op("dsa", patch=HELPER),
        helper.benchmark_with_power("cpu", lambda: None) as results,
    ):
        assert results["num_runs_executed"] == 4


def test_a_benchmark_with_parameters_of_its_own_is_not_replaced():
    module(HELPER).benchmark_with_power = lambda device, kernel_func, flush_l2=False: None
    with (
        pytest.raises(InputError, match="flush_l2"),
        align_op("dsa", patch=HELPER),
    ):
        pass


@pytest.mark.parametrize(
    ("names", "said"),
    [("collector.nosuch", "cannot be imported"), ([HELPER, "json"], "nothing to patch in json")],
)
def test_modules_that_cannot_be_patched_are_named_and_nothing_stays(names, said):
    before = dict(vars(module(HELPER)))
    with pytest.raises(InputError, match=said), align_op("dsa", patch=names):
        pass
    assert dict(vars(module(HELPER))) == before
    assert on_benchmark == []


def test_comparing_at_another_time_than_end_or_each_is_refused():
    with pytest.raises(InputError, match="compare is 'later'"):
        align_op("dsa", compare="later")
