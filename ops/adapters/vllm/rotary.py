"""DeepSeek's rotary embedding with YaRN, from the paper, for the hand-assembled mock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def yarn_scale(factor: float, weight: float) -> float:
    """Attention temperature 0.1 * weight * ln(factor) + 1 (YaRN, arXiv 2309.00071, eq. 22)."""
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def softmax_scale(values: Mapping[str, Any]) -> float:
    """Scale of the attention scores: 1/sqrt(head dim), times YaRN's temperature squared.

    Args:
        values: as in config.json.
    """
    plain = 1.0 / math.sqrt(values["qk_nope_head_dim"] + values["qk_rope_head_dim"])
    scaling = values.get("rope_scaling") or {}
    if "factor" not in scaling:
        return plain
    temperature = yarn_scale(scaling["factor"], scaling.get("mscale_all_dim", 0.0))
    return plain * temperature * temperature


def inverse_frequencies(values: Mapping[str, Any]) -> list[float]:
    """Radians per position of each pair of rotary dimensions.

    High frequencies stay, low ones are divided by the factor, with a linear ramp between the
    dimensions that turn ``beta_fast`` and ``beta_slow`` times over the original context.
    """
    size, base = int(values["qk_rope_head_dim"]), float(values["rope_theta"])
    plain = [base ** (-2 * pair / size) for pair in range(size // 2)]
    scaling = values.get("rope_scaling") or {}
    if "factor" not in scaling:
        return plain
    original = float(scaling["original_max_position_embeddings"])

    def pair_that_turns(times: float) -> float:
        return size * math.log(original / (times * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(pair_that_turns(scaling["beta_fast"])), 0)
    high = min(math.ceil(pair_that_turns(scaling["beta_slow"])), size - 1)
    mixed = []
    for pair, frequency in enumerate(plain):
        slow = min(max((pair - low) / max(high - low, 0.001), 0.0), 1.0)
        mixed.append(frequency * (1 - slow) + frequency / scaling["factor"] * slow)
    return mixed


def table(values: Mapping[str, Any], positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of ``positions``, each [tokens, rope / 2], float32."""
    import torch

    rates = torch.tensor(inverse_frequencies(values), dtype=torch.float32, device=positions.device)
    angles = positions.float()[:, None] * rates
    scaling = values.get("rope_scaling") or {}
    factor = float(scaling.get("factor", 1.0))
    scale = yarn_scale(factor, scaling.get("mscale", 1.0)) / yarn_scale(
        factor, scaling.get("mscale_all_dim", 0.0)
    )
    return angles.cos() * scale, angles.sin() * scale


def rotate(
    states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, interleaved: bool
) -> torch.Tensor:
    """Rotate pairs of the last dimension.

    Args:
        states: [tokens, heads, rope].
        cos, sin: [tokens, rope / 2].
        interleaved: pairs are neighbours (the attention); else halves (the indexer).
    """
    import torch

    cos, sin = cos[:, None, :], sin[:, None, :]
    if interleaved:
        one, two = states[..., 0::2].float(), states[..., 1::2].float()
    else:
        one, two = states.float().chunk(2, dim=-1)
    turned = (one * cos - two * sin, two * cos + one * sin)
    joined = torch.stack(turned, -1).flatten(-2) if interleaved else torch.cat(turned, -1)
    return joined.to(states.dtype)
