"""The real DeepSeek-V3.2 layer of transformers, both sides, sharing only what they may."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.errors import InputError
from harness.record.dispatch import DispatchRecorder
from harness.record.modules import module_region
from harness.record.regions import open_regions
from harness.trace import names_of
from ops.adapters import weights
from ops.adapters.hidden_states import chunk_lengths, fit, fit_past
from ops.registry import adapter
from ops.sides import Side
from ops.spec import Differences
from tests.conftest import CONTEXT, GENERATION


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
    case = replace(CONTEXT, seq_len=1024, kv_len=4096)
    op, small, _ = dsa.reduce_for_cpu(case)
    assert (small.seq_len, small.past_len) == (32, 96)
    sides = adapter("transformers").build(op, small, "cpu")
    with torch.no_grad():
        mock = sides.mock.output(sides.mock.call())
        reference = sides.reference.output(sides.reference.call())
    assert mock.shape[1] == 32
    assert torch.equal(mock, reference)


def mask_shape(side: Side) -> tuple[int, ...]:
    """[batch, 1, new tokens, KV length] of the attention mask that a call is given."""
    (mask,) = {
        tuple(value.shape)
        for value in arguments(side).values()
        if isinstance(value, torch.Tensor) and value.dtype == torch.bool
    }
    return mask


def test_a_mock_of_another_tp_has_other_heads(dsa):
    sides = adapter("transformers").build(dsa, CONTEXT, "meta", Differences(case={"tp": 4}))
    assert sides.reference.weights["o_proj.weight"].shape[1] == 128 // 8 * 128
    assert sides.mock.weights["o_proj.weight"].shape[1] == 128 // 4 * 128
    assert [text.partition(":")[0] for text in sides.unshared_weights] == [
        "kv_b_proj.weight",
        "o_proj.weight",
        "q_b_proj.weight",
    ]


@pytest.mark.parametrize(
    ("case", "changed", "expected"),
    [
        (CONTEXT, {"kv_len": 4097}, (1, 1, 4096, 4097)),
        (CONTEXT, {"seq_len": 4095}, (1, 1, 4095, 4096)),
        (CONTEXT, {"batch_size": 3}, (3, 1, 4096, 4096)),
        (GENERATION, {"kv_len": 4097}, (8, 1, 1, 4097)),
        (GENERATION, {"kv_len": 4095}, (8, 1, 1, 4095)),
        (GENERATION, {"kv_len": 1}, (8, 1, 1, 1)),
        (GENERATION, {"batch_size": 3, "kv_len": 8192}, (3, 1, 1, 8192)),
    ],
)
def test_a_mock_of_another_case_has_other_shapes(dsa, case, changed, expected):
    sides = adapter("transformers").build(dsa, case, "meta", Differences(case=changed))
    assert mask_shape(sides.mock) == expected
    whole = (case.batch_size, 1, case.seq_len, case.kv_len)
    assert mask_shape(sides.reference) in {whole, (1, *whole[1:])}


@pytest.mark.parametrize("changed", [{}, {"kv_len": 65}, {"kv_len": 200}, {"batch_size": 1}])
def test_a_past_in_several_chunks_fits_the_mocks_own_case(dsa, monkeypatch, changed):
    fifty_tokens = 50 * 2 * 128 * 64 * 4  # of two requests, against 128 keys of 64 fp32 heads
    monkeypatch.setattr("ops.adapters.transformers.build.SCORES_BUDGET_BYTES", fifty_tokens)
    op, small, _ = dsa.reduce_for_cpu(GENERATION)
    sides = adapter("transformers").build(op, small, "cpu", Differences(case=changed))
    outputs = []
    for side in (sides.mock, sides.reference):
        side.reset()  # asserts the length of the past
        with side.context():
            outputs.append(side.output(side.call()))
    if not changed:
        assert torch.equal(*outputs)
    assert outputs[0].shape[0] == changed.get("batch_size", 2)


def test_an_operator_without_a_recipe_is_not_available_and_says_so(dsa):
    theirs = replace(dsa, name="theirs", recipes={})
    state = adapter("transformers").availability(theirs)
    assert not state.ok
    assert not state.missing_package
    assert "theirs does not say how transformers builds it" in state.reason
    assert "OpSpec" in state.fix
    with pytest.raises(InputError, match="no model_type, config, attention, rotary"):
        adapter("transformers").build(theirs, CONTEXT, "meta")


def test_chunks_have_at_most_the_longest_length_and_together_all_tokens():
    assert chunk_lengths(10, 4) == [4, 4, 2]
    assert chunk_lengths(3, 0) == [1, 1, 1]
    assert chunk_lengths(0, 4) == []


def test_fitted_hidden_states_are_the_same_values_in_contiguous_memory_of_their_own():
    states = torch.arange(12.0).view(2, 3, 2)
    same = fit(states, 2, 3)
    assert torch.equal(same, states)
    assert same.is_contiguous()
    assert same.data_ptr() != states.data_ptr()
    assert fit(states.transpose(0, 1), 3, 2).is_contiguous()
    wider = fit(states, 3, 4)
    assert torch.equal(wider[2], wider[0])
    assert torch.equal(wider[:, 3], wider[:, 2])


def test_a_past_is_cut_or_lengthened_to_the_chunks_of_the_mock():
    new = torch.arange(6.0).view(1, 3, 2)
    past = [new + 10, new + 20]
    whole = torch.cat(past, 1)
    assert torch.equal(torch.cat(list(fit_past(past, new, 1, [4, 2])), 1), whole)
    assert torch.equal(torch.cat(list(fit_past(past, new, 1, [2])), 1), whole[:, :2])
    *_, last = fit_past(past, new, 1, [4, 4])
    assert torch.equal(last, whole[:, [4, 5, 5, 5]])
    (from_new,) = fit_past([], new, 2, [2])
    assert torch.equal(from_new, new[:, [2, 2]].expand(2, -1, -1))


def with_buffer(**shapes: int) -> torch.nn.Module:
    module = torch.nn.Module()
    for name, size in shapes.items():
        module.register_parameter(name, torch.nn.Parameter(torch.rand(size)))
    module.register_buffer("table", torch.rand(2))
    return module


@pytest.mark.parametrize("buffers", [True, False])
def test_weights_that_do_not_fit_are_named_and_buffers_are_copied_on_request(buffers):
    source, target = with_buffer(a=2, b=3, c=1), with_buffer(a=2, b=4, d=1)
    copied, problems = weights.share(source, target, buffers=buffers)
    assert copied == 1 + buffers
    assert torch.equal(target.a, source.a)
    assert torch.equal(target.table, source.table) is buffers
    assert problems == [
        "c: only in the reference",
        "d: only in the mock",
        "b: [3] in the reference, [4] in the mock",
    ]


def test_recording_leaves_no_region_open(meta_sides):
    recorded(meta_sides.mock)
    assert open_regions() == ()


def test_another_package_may_have_registered_a_configuration_of_the_same_model_type(dsa):
    # vLLM does so when it is imported
    from transformers import AutoConfig, DeepseekV3Config
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    class Foreign(DeepseekV3Config):
        model_type = "deepseek_v32"

    AutoConfig.register("deepseek_v32", Foreign, exist_ok=True)
    try:
        sides = adapter("transformers").build(dsa, CONTEXT, "meta")
    finally:
        CONFIG_MAPPING._extra_content.pop("deepseek_v32")
    assert sides.reference.module.indexer.index_topk == 2048
