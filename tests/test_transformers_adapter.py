"""The real DeepSeek-V3.2 layer of transformers, both sides, sharing only what they may."""

from __future__ import annotations

import torch

from harness.record.dispatch import DispatchRecorder
from harness.record.modules import module_region
from harness.record.regions import open_regions
from harness.trace import names_of
from ops.registry import adapter
from ops.sides import Side
from tests.conftest import CONTEXT


def recorded(side: Side, *, inside: bool = False) -> list[str]:
    side.reset()
    with side.context(), module_region(side.module, "operator"), DispatchRecorder().record() as r:
        side.call()
    side.reset()
    return names_of(r.trace.in_region("operator") if inside else r.trace)


def reachable(value: object, found: dict[int, object]) -> dict[int, object]:
    """Every tensor and cache object inside nested arguments."""
    if isinstance(value, torch.Tensor):
        found[id(value)] = value
    elif isinstance(value, (tuple, list)):
        for item in value:
            reachable(item, found)
    elif isinstance(value, dict):
        for item in value.values():
            reachable(item, found)
    elif hasattr(value, "layers"):
        found[id(value)] = value
        for layer in value.layers:
            reachable(vars(layer), found)
    return found


def arguments(side: Side) -> dict[int, object]:
    noted: dict[int, object] = {}
    handle = side.module.register_forward_pre_hook(
        lambda _m, args, kwargs: reachable([args, kwargs], noted) and None, with_kwargs=True
    )
    side.reset()
    with side.context():
        side.call()
    side.reset()
    handle.remove()
    return noted


def test_dimensions_are_the_published_ones_with_the_heads_of_one_rank(meta_sides):
    shapes = {name: tuple(w.shape) for name, w in meta_sides.reference.weights.items()}
    assert shapes["q_a_proj.weight"] == (1536, 7168)
    assert shapes["q_b_proj.weight"] == (128 // 8 * 192, 1536)
    assert shapes["kv_a_proj_with_mqa.weight"] == (512 + 64, 7168)
    assert shapes["o_proj.weight"] == (7168, 128 // 8 * 128)
    assert shapes["indexer.wq_b.weight"] == (64 * 128, 1536)
    assert meta_sides.reference.module.indexer.index_topk == 2048


def test_mock_and_reference_make_the_same_aten_calls_at_full_size(meta_sides):
    mock = recorded(meta_sides.mock)
    assert len(mock) > 100
    assert mock == recorded(meta_sides.reference)


def test_the_submodule_makes_the_same_calls_inside_its_running_layer(meta_sides):
    whole = recorded(meta_sides.in_layer)
    inside = recorded(meta_sides.in_layer, inside=True)
    assert inside == recorded(meta_sides.reference)
    assert len(whole) > len(inside), "what surrounds the operator must show"


def test_outputs_are_bitwise_equal_with_shared_weights(cpu_sides):
    with torch.no_grad():
        mock = cpu_sides.mock.output(cpu_sides.mock.call())
        cpu_sides.mock.reset()
        reference = cpu_sides.reference.output(cpu_sides.reference.call())
        cpu_sides.reference.reset()
    assert torch.equal(mock, reference)
    assert mock.float().std() > 0.01


def test_the_sides_share_no_tensor_and_no_cache(cpu_sides):
    mock, reference = arguments(cpu_sides.mock), arguments(cpu_sides.reference)
    assert len(mock) > 4
    assert not mock.keys() & reference.keys()
    storages = [
        {t.untyped_storage().data_ptr() for t in found.values() if isinstance(t, torch.Tensor)}
        for found in (mock, reference)
    ]
    assert not (storages[0] & storages[1]) - {0}


def test_the_sides_share_no_weight_storage(cpu_sides):
    mock = {w.data_ptr() for w in cpu_sides.mock.weights.values()}
    assert not mock & {w.data_ptr() for w in cpu_sides.reference.weights.values()}


def test_every_call_starts_from_the_same_kv_state(cpu_sides):
    side = cpu_sides.mock
    with torch.no_grad():
        first = side.output(side.call()).clone()
        side.reset()
        again = side.output(side.call())
        side.reset()
    assert torch.equal(first, again)


def test_a_chunk_of_a_longer_prompt_has_its_past_in_the_cache(dsa):
    from dataclasses import replace

    case = replace(CONTEXT, seq_len=1024, kv_len=4096)
    op, small, _ = dsa.reduce_for_cpu(case)
    assert (small.seq_len, small.past_len) == (32, 96)
    sides = adapter("transformers").build(op, small, "cpu")
    with torch.no_grad():
        mock = sides.mock.output(sides.mock.call())
        reference = sides.reference.output(sides.reference.call())
    assert mock.shape[1] == 32
    assert torch.equal(mock, reference)


def test_recording_leaves_no_region_open(meta_sides):
    recorded(meta_sides.mock)
    assert open_regions() == ()
