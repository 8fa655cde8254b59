"""Kernel lists of a served model as numbers, with edits at random, for `alignment_scale`."""

from __future__ import annotations

import random
from dataclasses import dataclass

LAYERS, DENSE = 61, 3
"""Of DeepSeek-V3.2: decoder layers, and how many of them have a dense MLP."""

NAMES = 120
"""Different kernels of the layers."""


@dataclass(frozen=True)
class Planted:
    """One edit: ``insert``, ``delete`` or ``replace``, at a position of the original list."""

    kind: str
    position: int
    name: str


def model_list(length: int, seed: int) -> list[str]:
    """Steps of 61 layers; steps have different lengths, dense and MoE layers 48 and 66 kernels."""
    dice = random.Random(seed)
    dense = [f"kernel_{dice.randrange(NAMES)}" for _ in range(48)]
    expert = [f"kernel_{dice.randrange(NAMES)}" for _ in range(66)]
    found: list[str] = []
    step = 0
    while len(found) < length:
        found += [f"schedule_{dice.randrange(3)}" for _ in range(step % 5)]
        found += dense * DENSE + expert * (LAYERS - DENSE)
        found += ["norm", "logits", "sample"][: 1 + step % 3]
        step += 1
    return found[:length]


def edited(original: list[str], edits: int, seed: int) -> tuple[list[str], list[Planted]]:
    """The list after edits at random positions, half of them with kernels of the list itself."""
    dice = random.Random(seed)
    changed = list(original)
    planted = []
    for position in sorted(dice.sample(range(len(original)), edits), reverse=True):
        kind = dice.choice(("insert", "delete", "replace"))
        new = f"other_{dice.randrange(100)}" if dice.random() < 0.5 else dice.choice(original)
        if new == original[position]:
            new = "another"
        if kind == "insert":
            changed.insert(position, new)
        elif kind == "delete":
            del changed[position]
        else:
            changed[position] = new
        planted.append(Planted(kind, position, new))
    return changed, planted[::-1]
