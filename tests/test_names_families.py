"""Families: what a kernel does, whichever template runs it; dtypes that a name tells."""

from __future__ import annotations

import pytest

from harness.names import demangle, family
from harness.names.dtypes import dtypes, gemm_dtype, without_dtypes
from harness.names.families import template
from tests.test_names import CAT, COPY, FILL, HALO, NVJET, POW_H200, RSQRT

NEG = (
    "_ZN2at6native18elementwise_kernelILi128ELi4EZNS0_22gpu_kernel_impl_nocastIZZZNS0_15neg_kernel"
    "_cudaERNS_18TensorIteratorBaseEENKUlvE0_clEvENKUlvE7_clEvEUlN3c108BFloat16EE_EEvS4_RKT_EUliE_E"
    "EviT1_"
)
SIGMOID = NEG.replace("15neg_kernel_cuda", "19sigmoid_kernel_cuda")
MEAN = (
    "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float, "
    "float, float, float>, unsigned int, float, 4, 4> >(at::native::ReduceOp<float, at::native::"
    "MeanOps<float, float, float, float>, unsigned int, float, 4, 4>)"
)
SUM = (
    "void at::native::reduce_kernel<128, 4, at::native::ReduceOp<float, at::native::func_wrapper_t<"
    "float, at::native::sum_functor<float, float, float>::operator()(at::TensorIterator&)::{lambda("
    "float, float)#1}>, unsigned int, float, 4> >(int)"
)
MUL = (
    "void at::native::vectorized_elementwise_kernel<8, at::native::BinaryFunctor<c10::BFloat16, "
    "c10::BFloat16, c10::BFloat16, at::native::binary_internal::MulFunctor<float> >, "
    "std::array<char*, 3ul> >(int)"
)
FLASH = (
    "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::"
    "CollectiveMainloopFwdSm90<2, cute::tuple<cute::C<1> >, 128, cutlass::bfloat16_t> > > >(int)"
)
PRODUCT = (
    "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<cute::tuple<int, int> > >"
    "(cutlass::gemm::kernel::GemmUniversal<cute::tuple<int, int> >::Params)"
)
SCAN = (
    "void at_cuda_detail::cub::detail::scan_by_key::DeviceScanByKeyKernel<at_cuda_detail::cub::"
    "detail::scan_by_key::policy_hub<thrust::THRUST_300001_SM_750_NS::transform_iterator<at::native"
    "::mbtopk::BlockIdxToKey, thrust::THRUST_300001_SM_750_NS::counting_iterator<unsigned int> > "
    "> >(int)"
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NEG, "at::native::neg_kernel_cuda"),
        (SIGMOID, "at::native::sigmoid_kernel_cuda"),
        (FILL, "at::native::FillFunctor"),
        (RSQRT, "at::native::rsqrt_kernel_cuda"),
        (COPY, "at::native::direct_copy_kernel_cuda"),
        (POW_H200, "at::native::{anon}::pow_tensor_scalar_kernel_impl"),
        (CAT, "at::native::{anon}::CatArrayBatchedCopy"),
        (MEAN, "at::native::MeanOps"),
        (SUM, "at::native::sum_functor"),
        (MUL, "at::native::binary_internal::MulFunctor"),
        (FLASH, "flash::FlashAttnFwdSm90"),
        (PRODUCT, "cutlass::gemm::kernel::GemmUniversal"),
        (
            "void cutlass::Kernel2<cutlass_80_simt_sgemm_128x32_8x5_nn_align1>(int)",
            "cutlass_80_simt_sgemm",
        ),
        (SCAN, "at::native::mbtopk::BlockIdxToKey::DeviceScanByKeyKernel"),
        (
            "void cub::CUB_200600_500_NS::DeviceScanInitKernel<cub::CUB_200600_500_NS::"
            "ScanTileState<int, true> >(int)",
            "cub::DeviceScanInitKernel",
        ),
        (HALO.format("5"), "update_halo_kernel"),
        ("triton_poi_fused_add_mul_17", "triton_poi_fused_add_mul"),
        ("_fwd_kernel_0d1d2de3c", "_fwd_kernel"),
        ("matmul_kernel_8f2ac0d19b7e", "matmul_kernel"),
        ("kernel_4", "kernel_4"),
        (NVJET, "nvjet_sm90_tst"),
    ],
)
def test_a_family_is_called_by_what_runs_and_not_by_the_template_that_runs_it(name, expected):
    assert family(name) == expected
    assert family(demangle(name)) == expected


def test_nsys_spells_a_lambda_otherwise_and_the_family_is_the_same():
    nsys = (
        "void at::native::elementwise_kernel<(int)128, (int)4, void at::native::"
        "gpu_kernel_impl_nocast<at::native::neg_kernel_cuda(at::TensorIteratorBase &)::"
        "[lambda() (instance 2)]::operator ()() const::[lambda() (instance 9)]::operator ()() "
        "const::[lambda(c10::BFloat16) (instance 1)]>(at::TensorIteratorBase &, const T1 &)::"
        "[lambda(int) (instance 1)]>(int, T3)"
    )
    assert family(nsys) == family(NEG)
    assert without_dtypes(nsys).count("T") >= 1


def test_the_template_that_runs_a_functor_can_be_asked_for():
    assert template(NEG) == "elementwise_kernel"
    assert template(MUL) == "vectorized_elementwise_kernel"


def test_templates_without_end_have_a_family():
    assert family("void " + "reduce_kernel<" * 3000 + "int" + ">" * 3000 + "(int)")


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        (NEG, NEG.replace("E7_clEvEUlN3c108BFloat16EE", "E5_clEvEUlfE"), ("bf16", "fp32")),
        (NEG, NEG.replace("E7_clEvEUlN3c108BFloat16EE", "E6_clEvEUlN3c104HalfEE"),
         ("bf16", "fp16")),
        (MUL, MUL.replace("<8,", "<4,").replace("c10::BFloat16", "float"), ("bf16", "fp32")),
        (NVJET, NVJET.replace("_tst_", "_qqtst_"), ("bf16", "fp8")),
        (NVJET, "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT", ("bf16", "fp16")),
        (
            "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_x",
            "sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize64x128x8_stage3_warpsize1x4x1_x",
            ("bf16", "fp32"),
        ),
        (
            "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2, true>(c10::BFloat16*)",
            "void vllm::rms_norm_kernel<float, 4, 2, true>(float*)",
            ("bf16", "fp32"),
        ),
    ],
)  # fmt: skip
def test_kernels_that_differ_in_their_dtype_alone_share_a_name_without_it(one, other, first):
    assert without_dtypes(one) == without_dtypes(other)
    assert next(p for p in zip(dtypes(one), dtypes(other), strict=False) if p[0] != p[1]) == first


def test_other_work_of_other_dtypes_does_not_share_it():
    assert without_dtypes(NEG) != without_dtypes(SIGMOID.replace("N3c108BFloat16E", "f"))
    assert without_dtypes(COPY) != without_dtypes(NEG)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (NVJET, "bf16"),
        ("nvjet_qqtst_128x256_128x6_2x1_2cta_v_bz_TNT", "fp8"),
        ("ampere_sgemm_128x64_nn", "fp32"),
        ("void cutlass::Kernel<cutlass_80_tensorop_s1688gemm_64x64_32x6_tn_align4>(int)", "fp32"),
        ("ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_nn", "bf16"),
        ("void gemv2N_kernel<int, int, float, float, float, float, 128>(int)", "fp32"),
        ("void fused_a_gemm_kernel<1, 2112, 7168, 16>(__nv_bfloat16*)", None),
    ],
)
def test_a_matrix_product_tells_the_dtype_that_it_takes(name, dtype):
    assert gemm_dtype(name) == dtype
