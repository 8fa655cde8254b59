"""The single kernels of TensorRT-LLM that the hand-assembled mock calls, by what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FUSED_A_SHAPE = (2112, 7168)
FUSED_A_TOKENS = 16
"""TensorRT-LLM's fused A GEMM is built for DeepSeek's shape and at most 16 tokens."""


def matmul(states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``states @ weight.T`` by TensorRT-LLM's cuBLASLt GEMM: [tokens, out]."""
    import torch

    product: torch.Tensor = torch.ops.trtllm.cublas_mm(
        states.contiguous(), weight.t(), None, states.dtype
    )
    return product


def down_projection(states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`matmul`, by TensorRT-LLM's low-latency kernel where that one is built for the shape."""
    import torch

    if len(states) > FUSED_A_TOKENS or tuple(weight.shape) != FUSED_A_SHAPE:
        return matmul(states, weight)
    product: torch.Tensor = torch.ops.trtllm.dsv3_fused_a_gemm_op(states, weight.t(), None, None)
    return product


def quantize(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of 128 elements to float8 with one float32 scale each.

    TensorRT-LLM lays the scales of a block column out row after row and pads the rows to a
    multiple of 4, so the first ``len(rows)`` are those of the only column.
    """
    import torch

    values, scales = torch.ops.trtllm.fp8_quantize_1x128(rows.contiguous())
    return values[: len(rows)], scales.flatten()[: len(rows)]
