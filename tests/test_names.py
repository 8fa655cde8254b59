"""Names of kernels: shortened for people, compared raw, equal only where declared."""

import string
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError, MissingPackageError
from harness.names import (
    SHIPPED,
    EquivalenceClass,
    apply,
    demangle,
    display_name,
    family,
    identity_key,
    identity_keys,
)
from harness.trace import Trace, TraceInfo, activities_table

# Mangled names of recorded runs: torch, vLLM, DeepGEMM, FlashMLA and cuBLAS on an H200 (nsys
# 2025.3) and torch on an H100 (nsys 2026.2).
FILL = (
    "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_11FillFunctorIiEESt5arrayIPcLm1EEEEviT0"
    "_T1_"
)
FILL_8 = FILL.replace("ILi4E", "ILi8E")
RSQRT = (
    "_ZN2at6native29vectorized_elementwise_kernelILi4EZZZNS0_17rsqrt_kernel_cudaERNS_18TensorIter"
    "atorBaseEENKUlvE0_clEvENKUlvE0_clEvEUlfE_St5arrayIPcLm2EEEEviT0_T1_"
)
COPY = (
    "_ZN2at6native18elementwise_kernelILi128ELi4EZNS0_22gpu_kernel_impl_nocastIZZZNS0_23direct_co"
    "py_kernel_cudaERNS_18TensorIteratorBaseEENKUlvE1_clEvENKUlvE10_clEvEUlN3c108BFloat16EE_EEvS4"
    "_RKT_EUliE_EEviT1_"
)
CAT = (
    "_ZN2at6native40_GLOBAL__N__0f1a8107_8_Shape_cu_49f7391c19CatArrayBatchedCopyINS1_10OpaqueTyp"
    "eILj2EEEjLi4ELi64ELi64EEEvPT_NS1_25CatArrInputTensorMetadataIS5_T0_XT2_EXT3_EEENS1_16TensorS"
    "izeStrideIS8_Lj4EEEiS8_"
)
CACHE = (
    "_ZN4vllm27concat_and_cache_mla_kernelI13__nv_bfloat16S1_LNS_18Fp8KVCacheDataTypeE0EEEvPKT_S5"
    "_PT0_PKliiiiiiiPKf"
)
LOGITS = (
    "_ZN9deep_gemm25sm90_fp8_paged_mqa_logitsILj1ELj64ELj128ELj64ELb1ELb0ELj3ELj3ELj256ELj128ELj5"
    "12ELj1EfEEvjjjPKjPT11_S2_S2_S2_14CUtensorMap_stS5_S5_S5_"
)
POW_H200 = (
    "_ZN2at6native29vectorized_elementwise_kernelILi4EZNS0_51_GLOBAL__N__b1108092_12_PowKernel_cu"
    "_751192d7_2139629pow_tensor_scalar_kernel_implIffEEvRNS_18TensorIteratorBaseET0_EUlfE_St5arr"
    "ayIPcLm2EEEEviS6_T1_"
)
POW_H100 = POW_H200.replace("751192d7_21396", "398dda3b_22242")
HALO = (
    "_ZN6clover19par_ranged1d_kernelIZ18update_halo_kerneliiiiRKSt5arrayIiLm4EES4_R10field_typePK"
    "iiEUliE{}_EEvNS_7Range1dET_"
)
NVJET = "nvjet_sm90_tst_176x128_64x5_1x2_h_bz_TNN"
RECORDED = [FILL, RSQRT, COPY, CAT, CACHE, LOGITS, POW_H200, NVJET, HALO.format("")]

SHOWN = {
    FILL: "at::native::vectorized_elementwise_kernel<4, FillFunctor<int>, ...>",
    RSQRT: "at::native::vectorized_elementwise_kernel<4, rsqrt_kernel_cuda::lambda(float), ...>",
    COPY: "at::native::elementwise_kernel<128, 4, "
    "gpu_kernel_impl_nocast<direct_copy_kernel_cuda::lambda(BFloat16)>::lambda(int)>",
    CAT: "at::native::{anon}::CatArrayBatchedCopy<OpaqueType<2>, unsigned int, 4, 64, 64>",
    CACHE: "vllm::concat_and_cache_mla_kernel<__nv_bfloat16, __nv_bfloat16, (Fp8KVCacheDataType)0>",
    LOGITS: "deep_gemm::sm90_fp8_paged_mqa_logits"
    "<1, 64, 128, 64, true, false, 3, 3, 256, 128, 512, 1, float>",
    NVJET: NVJET,
    "_Z7add_onePKfPfi": "add_one",
    "_fused_indexer_q_rope_quant_kernel": "_fused_indexer_q_rope_quant_kernel",
}


@pytest.mark.parametrize(("raw", "shown"), SHOWN.items())
def test_a_recorded_kernel_is_shown_demangled_and_short(raw, shown):
    assert display_name(raw) == shown


def test_the_demangled_spelling_of_nsys_is_shown_like_the_mangled_name():
    nsys = (
        "void at::native::<unnamed>::CatArrayBatchedCopy<at::native::<unnamed>::OpaqueType<"
        "(unsigned int)2>, unsigned int, (int)4, (int)64, (int)64>(T1 *, at::native::<unnamed>::"
        "CatArrInputTensorMetadata<T1, T2, T4, T5>, int, T2)"
    )
    copy = (
        "void at::native::elementwise_kernel<(int)128, (int)4, void at::native::"
        "gpu_kernel_impl_nocast<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase &)::"
        "[lambda() (instance 3)]::operator ()() const::[lambda() (instance 12)]::operator ()() "
        "const::[lambda(c10::BFloat16) (instance 1)]>(at::TensorIteratorBase &, const T1 &)::"
        "[lambda(int) (instance 1)]>(int, T3)"
    )
    assert display_name(nsys) == SHOWN[CAT]
    assert display_name(copy) == SHOWN[COPY]


def test_lambdas_of_one_function_stay_apart():
    shown = {display_name(HALO.format(number)) for number in ("", "0", "1", "54")}
    assert len(shown) == 4
    assert "clover::par_ranged1d_kernel<update_halo_kernel::lambda#2(int)>" in shown


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::add.Tensor", "op"),
        ("aten::add.Tensor", "kernel"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "op"),
        ("memcpy DtoD 4096 B", "memcpy"),
        ("memcpy DtoD 4096 B", "kernel"),
        ("memset 0x0 4096 B", "memset"),
        ("Memcpy HtoD (Pageable -> Device)", "kernel"),
    ],
)
def test_what_is_no_kernel_is_shown_as_it_is(name, kind):
    assert display_name(name, kind) == name


@pytest.mark.parametrize("width", [1, 5, 12, 30, 48, 80, 140])
@pytest.mark.parametrize("raw", [*RECORDED, "aten::_to_copy " * 20])
def test_a_shown_name_is_never_wider_than_asked(raw, width):
    assert 0 < len(display_name(raw, width=width)) <= width


def test_a_narrow_name_keeps_its_functor_rather_than_its_namespaces():
    shown = display_name(FILL, width=60)
    assert shown == "vectorized_elementwise_kernel<4, FillFunctor<int>, ...>"


@given(st.text() | st.text(alphabet="_ZN<>(){}[],:*& aoperatlmbdvi0123#-'"), st.integers(1, 60))
def test_any_text_can_be_shown_on_one_line(text, width):
    shown = display_name(text, width=width)
    assert len(shown) <= width
    assert shown.isprintable()
    assert bool(shown) == bool(text)
    assert family(text) or not text


def test_nesting_without_end_is_shown():
    assert display_name("void f<" * 5000, width=40)
    assert display_name("f" + "<g" * 3000 + ">" * 3000 + "(int)", width=40)


def test_names_that_are_not_mangled_come_back_unchanged():
    for name in (NVJET, "_Zinvalid", "_Z", "", "_Z\0", "_Zé", "_Z\ud800", "aten::add.Tensor"):
        assert demangle(name) == name


def test_a_missing_cpp_library_is_reported_with_what_to_install(monkeypatch):
    import cxxfilt

    def missing(_name):
        raise cxxfilt.LibraryNotFound("no libstdc++")

    monkeypatch.setattr(cxxfilt, "demangle", missing)
    with pytest.raises(MissingPackageError, match="install libstdc"):
        demangle.__wrapped__("_Z3newv")


def test_a_missing_demangler_is_reported_with_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cxxfilt", None)
    with pytest.raises(MissingPackageError, match="pip install"):
        demangle.__wrapped__("_Z3newv")


ROWS = [
    {"kind": "kernel", "name": FILL},
    {"kind": "memcpy", "name": "DtoD", "bytes": 4096},
    {"kind": "memset", "name": "memset", "bytes": 4096, "value": 0},
    {"kind": "op", "name": "aten::add.Tensor"},
    {"kind": "memcpy", "name": "HtoD"},
    {"kind": "memset", "name": "memset", "bytes": 16, "value": 255},
    {"kind": "kernel", "name": None},
]


def test_identity_is_the_raw_name_of_a_kernel_and_the_size_of_a_copy():
    trace = Trace(activities_table(ROWS), TraceInfo("cupti"))
    assert identity_keys(trace) == [
        FILL,
        "memcpy DtoD 4096 B",
        "memset 0x0 4096 B",
        "aten::add.Tensor",
        "memcpy HtoD ? B",
        "memset 0xff 16 B",
        "<nameless>",
    ]


def test_identity_in_bulk_is_the_identity_of_each_row():
    trace = Trace(activities_table(ROWS), TraceInfo("cupti"))
    assert identity_keys(trace) == [identity_key(row) for row in trace.rows()]
    assert identity_keys(trace.slice(1, 3)) == identity_keys(trace)[1:4]
    assert identity_keys(trace.slice(0, 0)) == []


def test_identity_does_not_equal_builds_of_one_kernel():
    trace = Trace(
        activities_table([{"kind": "kernel", "name": name} for name in (POW_H200, POW_H100)]),
        TraceInfo("cupti"),
    )
    assert len(set(identity_keys(trace))) == 2


def test_a_declared_class_equals_two_builds_and_says_so():
    keys, applied = apply([POW_H200, POW_H100, NVJET], SHIPPED)
    assert keys[0] == keys[1]
    assert "(anonymous namespace)::pow_tensor_scalar_kernel_impl" in demangle(keys[0])
    assert keys[2] == NVJET
    assert set(applied) == {"anonymous-namespace"}
    assert set(applied["anonymous-namespace"]) == {POW_H200, POW_H100}


def test_digits_after_an_anonymous_namespace_stay_part_of_the_next_name():
    (key,), _ = apply([CAT], SHIPPED)
    assert "12_GLOBAL__N_119CatArrayBatchedCopy" in key
    assert display_name(key) == display_name(CAT)


def test_counters_of_inductor_and_suffixes_of_triton_are_removed_on_request():
    names = ["triton_poi_fused_add_mul_3", "triton_poi_fused_add_mul_17", "_fwd_kernel_0d1d2de3c"]
    keys, applied = apply(names, SHIPPED)
    assert keys == ["triton_poi_fused_add_mul", "triton_poi_fused_add_mul", "_fwd_kernel"]
    assert applied == {
        "inductor-counter": {names[0]: keys[0], names[1]: keys[1]},
        "triton-specialisation": {names[2]: keys[2]},
    }


@pytest.mark.parametrize(
    "name", [*RECORDED[:3], NVJET, "add_arrays_", "cupy_copy__float64_float64"]
)
def test_the_shipped_classes_leave_other_kernels_alone(name):
    assert apply([name], SHIPPED) == ([name], {})


def test_no_class_is_applied_unless_given():
    assert apply([POW_H200, POW_H100], ()) == ([POW_H200, POW_H100], {})


@pytest.mark.parametrize(("pattern", "replacement"), [("(", ""), ("a", r"\1")])
def test_a_malformed_class_is_refused_when_declared(pattern, replacement):
    with pytest.raises(InputError, match="mine"):
        EquivalenceClass("mine", pattern, replacement, "because")


def test_tile_variants_are_one_family_and_different_kernels():
    other = "nvjet_sm90_tst_256x128_64x4_1x2_h_bz_coopA_TNT"
    assert family(NVJET) == family(other) == "nvjet_sm90_tst"
    assert apply([NVJET, other], SHIPPED)[0] == [NVJET, other]
    assert family(FILL) == family(FILL_8) == "at::native::FillFunctor"
    assert family(CAT) == "at::native::{anon}::CatArrayBatchedCopy"


def test_every_family_is_plain_characters():
    for raw in RECORDED:
        assert set(family(raw)) <= {*string.ascii_letters, *string.digits, *":_{}"}
