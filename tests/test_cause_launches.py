"""Causes that are read from names and grids, on recorded lists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.mutation_edits import edited, observed, recorded
from harness.align.explain.explain import explained
from harness.align.explain.rules import read_rulebook
from harness.align.judge import judge
from harness.align.model import Cause
from harness.align.observation import Observation, SideObservation
from harness.names import demangle
from harness.record.files import read_trace_file
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from tests.test_names import COPY
from tests.test_names_families import FLASH, MUL, NEG, PRODUCT, SCAN, SIGMOID

KERNELS = read_rulebook().kernels
B200 = Path(__file__).parent / "data/kineto/tracelens_b200_vllm_tp8_mxfp4_prefill.pt.trace.json.gz"
NVJET = "nvjet_sm90_tst_64x8_64x16_2x1_v_bz_TNT"
TO_FP8 = (
    "void at::native::vectorized_elementwise_kernel<4, at::native::float8_copy_kernel_cuda(at::"
    "TensorIteratorBase&)::{lambda(c10::BFloat16)#3}, std::array<char*, 2ul> >(int)"
)
TO_FP8_LATER = TO_FP8.replace(
    "float8_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda(c10::BFloat16)#3}",
    "ConvertToFloat8E4M3fn<c10::BFloat16>",
)
FP8_COPY = (
    "void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::"
    "TensorIteratorBase&)::{lambda()#3}::operator()() const::{lambda(c10::Float8_e4m3fn)#1}, "
    "std::array<char*, 2ul>, 4>(int)"
)


def found(seen: Observation, check: str) -> tuple[Cause, ...]:
    return next(c for c in explained(seen, judge(seen).checks, {}) if c.name == check).causes


def first(seen: Observation, check: str) -> str:
    return found(seen, check)[0].name


@cache
def names() -> list[str]:
    return [name or "" for name in recorded().activities["name"].cast(pa.string()).to_pylist()]


def renamed(*changes: tuple[str, str]) -> Observation:
    """The recording of an H200 against itself, its names changed by expressions."""
    made = names()
    for pattern, new in changes:
        made = [re.sub(pattern, new, name) for name in made]
    assert made != names()
    return observed(edited(recorded(), "name", list(made)))


def lists(mock: list[str], reference: list[str]) -> Observation:
    def side(label: str, kernels: list[str]) -> SideObservation:
        rows = [
            {"kind": "kernel", "name": name, "start_ns": 10 * at, "end_ns": 10 * at + 5,
             "stream": 7, "grid": [8, 1, 1], "region": 1}
            for at, name in enumerate(kernels)
        ]  # fmt: skip
        regions = regions_table([{"id": 1, "name": "forward"}])
        return SideObservation(label, "", Trace(activities_table(rows), TraceInfo("x"), regions))

    return Observation(side("mock", mock), side("reference", reference), live=False)


@pytest.mark.parametrize("check", ["names", "counts", "order", "missing", "extra"])
def test_kernels_of_another_dtype_are_another_dtype_and_no_missing_part(check: str):
    half = renamed(
        ("13__nv_bfloat16", "6__half"),
        ("N3c108BFloat16E", "N3c104HalfE"),
        ("24bfloat16_copy_kernel_cuda", "23float16_copy_kernel_cuda"),
    )
    causes = [cause.name for cause in found(half, check)]
    assert causes[0] == "other dtype"
    assert "KV cache not written" not in causes
    assert "quantisation on one side" not in causes
    assert "autotuner not run" not in causes
    assert "fp16 in the mock and bf16 in the reference" in found(half, check)[0].observation


@pytest.mark.parametrize(
    ("product", "mock"),
    [
        ("sm80_xmma_gemm_f32f32_tf32f32_f32_tn_n_tilesize128x128x16_stage4_x_cublas", "fp32"),
        ("nvjet_sm90_hsh_128x8_64x12_1x1_h_bz_TNT", "fp16"),
        ("nvjet_sm90_qqtst_128x8_64x12_1x1_h_bz_TNT", "fp8"),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm_128x32_8x5_nn_align1>(int)", "fp32"),
    ],
)
def test_matrix_products_of_another_dtype_are_told_from_other_tiles(product: str, mock: str):
    (cause, *_) = found(renamed((r"nvjet_sm90_tst_\S+", product)), "names")
    assert cause.name == "other dtype"
    assert f"{mock} in the mock and bf16 in the reference" in cause.observation


SPLIT = ("nvjet_sm90_tst_64x8_64x16_4x1_v_bz_splitK_TNT", "cublasLt::splitKreduce_kernel")
WHOLE = (
    "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize64x256x64_cgasize1x1x1_"
    "warpgroupsize1x1x1_aligna4_alignc4_execute_segment_k_off_kernel__5x_cublas"
)


def test_products_by_another_algorithm_are_a_matter_of_tuning_unless_more_changed():
    around = ["rms_norm_kernel", "rotary_kernel"]
    assert first(lists([WHOLE, *around], [*SPLIT, *around]), "names") == "autotuner not run"
    more = lists([WHOLE, "one", "two", "three"], [*SPLIT, *around])
    assert "autotuner not run" not in [cause.name for cause in found(more, "names")]


def test_a_part_that_both_sides_have_in_another_form_is_not_missing():
    other = renamed(("concat_and_cache_mla_kernel", "concat_and_cache_mlb_kernel"))
    assert "KV cache not written" not in [cause.name for cause in found(other, "missing")]


def test_another_operation_of_torch_is_no_other_tile():
    for reference, mock in ((NEG, SIGMOID), (FLASH, PRODUCT), (NEG, MUL)):
        seen = lists([NVJET, mock], [NVJET, reference])
        assert "autotuner not run" not in [cause.name for cause in found(seen, "names")]


def test_the_same_functor_by_another_access_of_memory_is_a_matter_of_strides():
    strided = "void at::native::elementwise_kernel<128, 4, " + MUL.split("<8, ", 1)[1]
    (cause, *_) = found(lists([NVJET, strided], [NVJET, MUL]), "names")
    assert cause.name == "extra copies"
    assert "elementwise_kernel for vectorized_elementwise_kernel" in cause.observation


MANGLED = "_ZN2at6native23float8_copy_kernel_cudaERNS_18TensorIteratorBaseE"


@pytest.mark.parametrize("name", [TO_FP8, TO_FP8_LATER, FP8_COPY, MANGLED])
def test_casts_of_torch_to_fp8_are_quantisation_before_they_are_copies(name: str):
    seen = lists([NVJET, name, COPY], [NVJET])
    for check in ("names", "counts", "extra"):
        assert first(seen, check) == "quantisation on one side"


@pytest.mark.parametrize(
    "name",
    [
        COPY,
        "void vllm::concat_and_cache_mla_kernel<__nv_bfloat16, unsigned char, "
        "(vllm::Fp8KVCacheDataType)1>(__nv_bfloat16 const*)",
        "void deep_gemm::sm90_fp8_mqa_logits<64u, 128u, false, 2u, 256u>(unsigned int)",
        "void at::native::(anonymous namespace)::CatArrayBatchedCopy<c10::Float8_e4m3fn>(int)",
        "nvjet_qqtst_128x256_128x6_2x1_2cta_v_bz_TNT",
    ],
)
def test_kernels_that_take_fp8_are_no_quantisation(name: str):
    assert not KERNELS["quantisation"].search(name)


def test_the_quantising_kernels_of_a_recording_are_those_that_quantise():
    quantising = {demangle(n).split("<")[0] for n in names() if KERNELS["quantisation"].search(n)}
    assert quantising == {
        "void vllm::indexer_k_quant_and_cache_kernel",
        "_fused_indexer_q_rope_quant_kernel",
    }


TOPK_OF_TORCH = [
    "void at::native::mbtopk::fill<unsigned int, unsigned int>(unsigned int*)",
    "void at::native::mbtopk::computeBlockDigitCounts<float, unsigned int, unsigned int, 2>(int)",
    "at::native::mbtopk::computeDigitCumSum(short*, unsigned int*, unsigned int)",
    "void at::native::mbtopk::gatherTopK<float, unsigned int, 2>(int)",
    SCAN,
]
SMALL_TOPK = ["_ZN2at6native6sbtopk10gatherTopKIfjLi2ELb0EEEvv"]


@pytest.mark.parametrize("topk", [TOPK_OF_TORCH, SMALL_TOPK])
def test_the_top_k_of_torch_belongs_to_the_indexer(topk: list[str]):
    seen = lists([NVJET, MUL], [NVJET, *topk, MUL])
    for check in ("names", "counts", "missing", "order"):
        assert first(seen, check) == "indexer not called"


def test_experts_of_a_recorded_b200_are_its_batched_products_and_not_the_router():
    trace = read_trace_file(B200)
    every = {n or "" for n in trace.activities["name"].cast(pa.string()).to_pylist()}
    experts = {name for name in every if KERNELS["expert"].search(name)}
    assert {name[:4] for name in experts} == {"bmm_"}
    assert len(experts) == 2
    routing = {name for name in every if KERNELS["routing"].search(name)}
    assert len(routing) == 4
    assert all("routing" in name or "finalize" in name for name in routing)


def collapsed(*more: str) -> Observation:
    """The layer list of a B200, the grids of its experts (and of ``more``) shrunk in the mock."""
    trace = read_trace_file(B200)
    region = {"region": 1, "launched_in": 1}
    rows = [{**row, **region} for row in trace.rows() if row["kind"] == "kernel"]

    def side(label: str, small: tuple[str, ...]) -> SideObservation:
        shrunk = [
            {**row, "grid": [1, 1, 1]} if re.search("|".join(small), row["name"]) else row
            for row in rows
        ] if small else rows  # fmt: skip
        regions = regions_table([{"id": 1, "name": "forward"}])
        made = Trace(activities_table(shrunk), TraceInfo("kineto"), regions)
        return SideObservation(label, "", made)

    return Observation(side("mock", ("bmm_", *more)), side("reference", ()), live=False)


def test_experts_whose_grids_alone_differ_are_a_router_collapse():
    assert first(collapsed(), "launch") == "router collapse"
    assert first(collapsed("routingIndices"), "launch") == "router collapse"
    assert "router collapse" not in [cause.name for cause in found(collapsed("nvjet"), "launch")]


def test_grids_of_the_matrix_products_alone_are_other_heads():
    trace = recorded()
    grids = trace.activities["grid"].to_pylist()
    scaled = [
        [8 * grid[0], *grid[1:]] if grid and "nvjet" in name else grid
        for grid, name in zip(grids, names(), strict=True)
    ]
    (cause, *_) = found(observed(edited(trace, "grid", scaled)), "launch")
    assert cause.name == "other heads"
    assert "8" in cause.observation
