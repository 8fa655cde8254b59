"""Roofline figures are those of Nsight Compute and of arithmetic; names join across tools."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.analyze.crossref import CROSSREF, UNMATCHED, crossref
from harness.analyze.flops import scalar_flop, tensor_flop
from harness.analyze.roofline import ROOFLINE, bound_by, roofline
from harness.names.spelling import spelling_key
from harness.record.files.ncu import METRICS, NcuReport, read_ncu
from harness.trace import Trace, TraceInfo, activities_table
from harness.trace.columns import column_of

DATA = Path(__file__).parent / "data" / "ncu"
NOW = 1_790_000_000_000_000_001  # ns since 1970, as CUPTI gives them
OUT_PROJECTION, BMM, SPARSE_ATTENTION, FP8_LOGITS = 30, 24, 28, 21


@pytest.fixture(scope="module")
def h200():
    return read_ncu(DATA / "h200_vllm_dsa_decode_raw.csv.gz")


@pytest.fixture(scope="module")
def rows(h200):
    return roofline(h200).table.to_pylist()


@pytest.fixture(scope="module")
def t4():
    return roofline(read_ncu(DATA / "t4_copy_blocked_details.csv"))


def report(*kernels):
    """A report with these kernels: name, grid x, metrics by name in base units."""
    columns = {field.name: [] for field in METRICS}
    for number, (name, grid, metrics) in enumerate(kernels):
        for metric, value in metrics.items():
            row = {"kernel": number, "id": number, "name": name, "grid": [grid, 1, 1]}
            row |= {"block": [128, 1, 1], "metric": metric, "unit": "", "value": value}
            for column, values in columns.items():
                values.append(row.get(column))
    arrays = [column_of(columns[field.name], field.type) for field in METRICS]
    return NcuReport(pa.Table.from_arrays(arrays, schema=METRICS))


def trace(*kernels):
    """A Trace with these kernels: name, grid x, duration."""
    columns = {
        "kind": ["kernel"] * len(kernels),
        "name": [name for name, _, _ in kernels],
        "start_ns": [NOW] * len(kernels),
        "end_ns": [NOW + span for _, _, span in kernels],
        "grid": [[grid, 1, 1] for _, grid, _ in kernels],
        "block": [[128, 1, 1]] * len(kernels),
    }
    return Trace(activities_table(columns), TraceInfo("test"))


@pytest.mark.parametrize(
    ("kernel", "flop"),
    [
        (OUT_PROJECTION, 2 * 8 * 16384 * 7168),  # 8 tokens, o_proj of 128 heads of 128
        (BMM, 2 * 8 * 128 * 128 * 512),  # 8 tokens, 128 heads, 128 x 512 of kv_b_proj
        (41, 2 * 8 * 1536 * 24576),  # q_b_proj: q_lora_rank 1536 to 128 heads of 192
    ],
)
def test_tensor_operations_are_those_of_the_matrix_product(rows, kernel, flop):
    assert rows[kernel]["tensor_flop"] == flop
    assert rows[kernel]["flop"] == pytest.approx(flop, rel=2e-3)


def test_the_figures_of_a_memory_bound_gemm(rows):
    row = rows[OUT_PROJECTION]
    assert row["duration_ns"] == 60_768
    assert row["dram_bytes"] == 235_201_792 + 3_496_960
    assert row["dram_bytes_per_s"] == pytest.approx(3_928_033_701_948.39)  # ncu's own figure
    assert row["flop_per_s"] == pytest.approx(row["flop"] / 60_768e-9)
    assert row["intensity"] == pytest.approx(row["flop"] / row["dram_bytes"])
    assert (row["memory_pct"], row["dram_pct"], row["compute_pct"]) == (81.68, 81.68, 5.42)
    assert row["bound_by"] == "memory"


def test_bandwidth_is_ncus_own_for_every_kernel(h200, rows):
    name = "dram__bytes.sum.per_second"
    for row, rate in zip(rows, h200.pivot([name])[name].to_pylist(), strict=True):
        # .sum.per_second of this file counts reads and writes, rounded to the sector
        assert row["dram_bytes_per_s"] == pytest.approx(rate, rel=1e-9)


def test_fp8_operations_that_are_only_counted_by_sparsity_count_once(rows):
    assert rows[FP8_LOGITS]["tensor_flop"] == 566_231_040


def test_short_kernels_are_bound_by_latency_and_the_rule_is_told(h200, rows):
    assert rows[SPARSE_ATTENTION]["bound_by"] == "latency"
    assert {row["bound_by"] for row in rows} == {"memory", "latency"}
    found = roofline(h200)
    assert "60 %" in found.rule
    assert found.notes == ()
    assert found.table.schema.equals(ROOFLINE)


def test_from_a_details_page_what_was_not_collected_is_null_and_said(t4):
    (row,) = t4.table.to_pylist()
    assert row["duration_ns"] == 21_058_944
    assert row["dram_bytes_per_s"] == 196_456_177_859.63
    assert (row["memory_pct"], row["compute_pct"], row["bound_by"]) == (61.84, 1.3, "memory")
    assert row["flop"] is row["intensity"] is row["flop_per_s"] is None
    (note,) = t4.notes
    assert note.startswith("flop is not known of 1 of 1 kernels: it needs smsp__sass_thread_inst")


@pytest.mark.parametrize(
    ("memory", "compute", "expected"),
    [
        (59.9, 10.0, "latency"),
        (60.0, 10.0, "memory"),
        (61.0, 90.0, "compute"),
        (None, 90.0, None),
        (90.0, None, None),
    ],
)
def test_what_bounds_a_kernel(memory, compute, expected):
    assert bound_by(memory, compute) == expected


SASS = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum"
OPS = "sm__ops_path_tensor_src_{}.sum"


def test_scalar_operations_are_weighted_by_what_an_instruction_does():
    values = {SASS.format(op): 1.0 for op in ("fadd", "ffma", "hfma", "hmul", "dfma")}
    assert scalar_flop(values) == 1 + 2 + 4 + 2 + 2
    rate = {SASS.format("ffma") + ".per_cycle_elapsed": 10.0, "smsp__cycles_elapsed.avg": 100.0}
    assert scalar_flop(rate) == 2000
    assert scalar_flop({}) is None


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ({"bf16_dst_fp32": 8.0, "bf16_dst_fp32_sparsity_off": 8.0}, 8),
        ({"bf16_dst_fp32_sparsity_off": 5.0, "bf16_dst_fp32_sparsity_on": 3.0}, 8),
        ({"fp16": 8.0, "fp16_dst_fp16": 3.0, "fp16_dst_fp32": 5.0}, 8),
        ({"fp16_bf16_tf32_dst_fp32": 8.0, "fp16": 8.0, "bf16_dst_fp32": 0.0}, 8),
        ({"fp16_bf16_tf32_dst_fp32": 8.0}, 8),
        ({"bf16_dst_fp32": 8.0, "int8": 100.0}, 8),
    ],
)
def test_tensor_operations_are_counted_once(counted, expected):
    assert tensor_flop({OPS.format(path): value for path, value in counted.items()}) == expected


def test_tensor_work_without_a_count_is_unknown_not_zero():
    active = "sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_elapsed"
    assert tensor_flop({active: 12.0}) is None
    assert tensor_flop({active: 0.0}) == 0
    assert tensor_flop({}) is None


def test_66_profiled_kernels_find_their_launches_in_an_nsys_trace(h200):
    table = pq.read_table(DATA / "h200_nsys_launches.parquet")
    columns = {"kind": ["kernel"] * table.num_rows, "name": table["mangled"]}
    columns |= {name: table[name] for name in ("start_ns", "end_ns", "grid", "block")}
    found = crossref(Trace(activities_table(columns), TraceInfo("nsys")), h200)
    assert found.only_ncu.num_rows == 0
    assert sum(len(row) for row in found.matched["ncu_kernels"].to_pylist()) == 66
    assert set(found.matched["names_in_trace"].to_pylist()) == {1}
    assert found.only_trace.num_rows == 79  # prefill and set-up, which were not profiled
    assert 0 < found.share_of_time < 1
    attention = next(row for row in found.matched.to_pylist() if "sparse_attn" in row["name"])
    assert attention["launches"] == 29
    assert attention["ncu_kernels"] == [SPARSE_ATTENTION]
    assert attention["ncu_median_ns"] == pytest.approx(attention["median_ns"], rel=0.05)


def test_what_only_one_has_is_listed_with_the_reason():
    seen = report(("void f<8, 1>(int)", 4, {"m": 1.0}), ("g", 4, {"m": 1.0}))
    live = trace(("_Z1fILi8ELb1EEvi", 4, 70), ("_Z1fILi8ELb1EEvi", 9, 20), ("h", 1, 10))
    found = crossref(live, seen)
    (row,) = found.matched.to_pylist()
    assert (row["name"], row["launches"], row["total_ns"]) == ("_Z1fILi8ELb1EEvi", 1, 70)
    assert (row["median_ns"], row["ncu_median_ns"]) == (70, None)
    assert found.share_of_time == 0.7
    reasons = {row["name"]: row["reason"] for row in found.only_trace.to_pylist()}
    assert reasons["h"] == "the report has no kernel of this name"
    assert reasons["_Z1fILi8ELb1EEvi"].startswith("the report has it only with grid (4, 1, 1)")
    assert found.only_ncu["name"].to_pylist() == ["g"]
    assert found.matched.schema.equals(CROSSREF)
    assert found.only_ncu.schema.equals(UNMATCHED)


def test_names_that_ncus_spelling_does_not_tell_apart_are_counted():
    live = trace(("void a::f<1>(int)", 4, 1), ("void b::f<1>(int)", 4, 1))
    found = crossref(live, report(("void f<1>(int)", 4, {"m": 1.0})))
    assert found.matched["names_in_trace"].to_pylist() == [2]


def test_a_trace_without_kernels_matches_nothing():
    found = crossref(trace(), report(("f", 4, {"m": 1.0})))
    assert (found.matched.num_rows, found.only_ncu.num_rows) == (0, 1)
    assert found.share_of_time is None


@pytest.mark.parametrize(
    "name",
    [
        "_ZN2at6native29vectorized_elementwise_kernelILi8ENS0_11FillFunctorIN3c108BFloat16EEE"
        "St5arrayIPcLm1EEEEviT0_T1_",
        "void at::native::vectorized_elementwise_kernel<(int)8, at::native::FillFunctor"
        "<c10::BFloat16>, std::array<char *, (unsigned long)1>>(int, T2, T3)",
        "void at::vectorized_elementwise_kernel<8, at::FillFunctor<c10::BFloat16>, "
        "std::array<char *, 1>>(int, T2, T3)",
    ],
)
def test_three_demanglers_spell_one_key(name):
    key = "vectorized_elementwise_kernel<8,FillFunctor<BFloat16>,array<char*,1>>"
    assert spelling_key(name) == key


def test_names_that_are_no_function_keep_themselves():
    names = ["nvjet_sm90_tst_64x8_64x16_2x1_v_bz_TNT", "_fused_indexer_q_rope_quant_kernel", ""]
    assert [spelling_key(name) for name in names] == names
