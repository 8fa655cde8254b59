"""Facts from the launch configurations of matched kernels: grids, blocks, memory, registers."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from harness.align.explain.rules import Facts, Rulebook
from harness.align.observation import Observation
from harness.names import display_name

_FIELDS = {
    "block": "blocks_that_differ",
    "registers": "registers_that_differ",
    "shared_static_bytes": "static_memory_that_differs",
    "shared_dynamic_bytes": "dynamic_memory_that_differs",
}
_OF_ALL = ("grid_factor", "grids_with_that_factor", "scaled_share_of_kernels")
_OF_GEMMS = ("gemm_grid_factor", "gemm_grids_with_that_factor", "scaled_share_of_gemms")
_Factors = list[tuple[str, float | None]]


def configuration_facts(observed: Observation, book: Rulebook) -> Facts:
    """How many matched launches differ in what, and how their grids scale."""
    columns = [
        {name: trace.activities[name].to_pylist() for name in ("grid", *_FIELDS)}
        for trace in observed.lists
    ]
    ours, theirs = columns
    facts: dict[str, Any] = dict.fromkeys(_FIELDS.values(), 0)
    facts |= {"compiled_otherwise": 0, "configurations_tuned_otherwise": 0}
    names, factors, known = observed.keys[1], [], Counter[str]()
    for one, other in (rows for pair in observed.matching for rows in pair.matched_rows()):
        differs = set()
        for column, fact in _FIELDS.items():
            pair = ours[column][one], theirs[column][other]
            if None not in pair and pair[0] != pair[1]:
                facts[fact] += 1
                differs.add(column)
        grids = ours["grid"][one], theirs["grid"][other]
        if grids[0] == grids[1]:
            tuned = bool(differs & {"block", "shared_dynamic_bytes"})
            facts["configurations_tuned_otherwise"] += tuned
            facts["compiled_otherwise"] += bool(differs) and not tuned
        if None in grids:
            continue
        known[names[other]] += 1
        if grids[0] != grids[1]:
            factors.append((names[other], _factor(*grids)))
            facts.setdefault("first_other_grid", _shown(names[other], *grids))
    return facts | _grids(factors, known, book)


def _factor(mock: list[int], reference: list[int]) -> float | None:
    """How many times as many blocks the mock has; None for a reference without any."""
    blocks = math.prod(reference)
    return round(math.prod(mock) / blocks, 3) if blocks else None


def _shown(name: str, mock: list[int], reference: list[int]) -> str:
    return f"{display_name(name, width=60)}: {mock} against {reference}"


def _grids(factors: _Factors, known: Counter[str], book: Rulebook) -> dict[str, Any]:
    """The factor that most grids share, of all kernels and of matrix products."""
    found: dict[str, Any] = {"grids_that_differ": len(factors)}
    if not factors:
        return found
    expert, routing = book.kernels["expert"], book.kernels["routing"]
    experts = sum(bool(expert.search(name)) for name, _ in factors)
    routers = sum(bool(routing.search(name)) for name, _ in factors)
    found["expert_grids_that_differ"] = experts
    found["other_grids_that_differ"] = len(factors) - experts - routers
    found |= _common(factors, known.total(), _OF_ALL)
    gemm = book.kernels["gemm"]
    products = [(name, factor) for name, factor in factors if gemm.search(name)]
    all_products = sum(n for name, n in known.items() if gemm.search(name))
    return found | _common(products, all_products, _OF_GEMMS)


def _common(factors: _Factors, known: int, names: tuple[str, str, str]) -> dict[str, Any]:
    """The commonest factor, how many grids have it, and their share of all that are known."""
    counts = Counter(factor for _, factor in factors if factor is not None)
    if not counts or not known:
        return {}
    common, count = counts.most_common(1)[0]
    return dict(zip(names, (common, count, count / known), strict=True))
