"""Shared fixtures: one adapter, both phases, sides built once per session."""

from __future__ import annotations

import pytest

from ops.case import Case
from ops.registry import adapter, operator
from ops.sides import Sides
from ops.spec import OpSpec

CONTEXT = Case("dsa", "context", tp=8, framework="transformers")
GENERATION = Case(
    "dsa", "generation", tp=8, batch_size=8, seq_len=1, kv_len=4096, framework="transformers"
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """GPU tests are skipped, visibly, where there is no GPU."""
    import torch

    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs an NVIDIA GPU")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def dsa() -> OpSpec:
    return operator("dsa")


@pytest.fixture(scope="session", params=[CONTEXT, GENERATION], ids=["context", "generation"])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="session")
def meta_sides(dsa: OpSpec, case: Case) -> Sides:
    """Both sides at full size on the meta device."""
    return adapter("transformers").build(dsa, case, "meta")


@pytest.fixture(scope="session")
def cpu_sides(dsa: OpSpec, case: Case) -> Sides:
    """Both sides at the reduced size, computed on the CPU."""
    op, small, _ = dsa.reduce_for_cpu(case)
    return adapter("transformers").build(op, small, "cpu")
