"""Attention as profilers show it: a kernel per layer, known by its name alone."""

from __future__ import annotations

from ops.spec import OpSpec

KERNEL_PATTERNS = {
    "attention": (
        r"flash_fwd_(splitkv_)?kernel|FlashAttnFwdSm|fmha\w*Kernel|fmha_\w*cutlass|"
        r"paged_attention_v\d|kernel_unified_attention|BatchPrefillWith|BatchDecodeWith|"
        r"sparse_attn_fwd|flash_fwd_splitkv_mla"
    )
}
"""Main kernels of FlashAttention 2 and 3, TensorRT-LLM's fmha, xFormers, vLLM, FlashInfer and
FlashMLA. Kernels that only combine or prepare are left out, so that a layer has one."""

ATTENTION = OpSpec(
    name="attention",
    title="Attention of any model, located in a Trace by its main kernel; cannot be built",
    model="",
    dimensions={},
    submodule="",  # found by patterns alone: regions named self_attn hold more than its kernel
    heads="num_attention_heads",
    kernel_patterns=KERNEL_PATTERNS,
    frameworks=(),
)
