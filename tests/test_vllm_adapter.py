"""The vLLM adapter: what it says without vLLM, its arithmetic, its hand-assembled mock, and on a
GPU with vLLM both sides."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from harness.errors import InputError, MissingDeviceError, MissingPackageError
from ops.adapters.vllm import VllmAdapter, engine, packages, plan, rotary
from ops.adapters.vllm.capture import host_state
from ops.adapters.vllm.config import MODEL, Sizes, model_values
from ops.adapters.vllm.dsa_kernels import KernelMock
from ops.adapters.vllm.kernel_caches import BLOCK, KernelCaches
from ops.adapters.vllm.requests import Requests
from ops.case import Case
from ops.dsa import DSA, DSA_KERNELS
from ops.spec import Differences


def test_without_vllm_it_says_which_package_is_missing_and_how_to_get_it(monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda package: False)
    state = VllmAdapter().availability(DSA)
    assert not state.ok
    assert state.missing_package
    assert state.reason == "vllm is not installed"
    assert "vllm==0.26.0" in state.fix
    with pytest.raises(MissingPackageError, match=r"pip install 'vllm==0\.26\.0'"):
        packages.require_vllm()


@pytest.mark.parametrize("found", ["0.25.1", "1.0.0", "0.2.6"])
def test_another_release_is_refused_because_its_internals_differ(monkeypatch, found):
    monkeypatch.setattr(packages, "vllm_version", lambda: found)
    state = VllmAdapter().availability(DSA)
    assert not state.ok
    assert found in state.reason


def test_the_hand_assembled_mock_needs_the_tensorrt_llm_kernels(monkeypatch):
    monkeypatch.setattr(packages, "vllm_version", lambda: "0.26.0")
    monkeypatch.setattr(packages, "installed", lambda package: False)
    state = VllmAdapter().availability(DSA_KERNELS)
    assert not state.ok
    assert "tokenspeed_trtllm_kernel" in state.fix


def test_an_import_error_inside_vllm_names_what_is_missing(monkeypatch, tmp_path):
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text("import a_package_that_does_not_exist")
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "ERROR")
    with pytest.raises(MissingPackageError, match="a_package_that_does_not_exist"):
        packages.require_vllm()


def test_stand_ins_are_gone_after_the_import(monkeypatch):
    monkeypatch.setattr(packages, "GUIDED_DECODING", ("no_such_grammar_package",))
    with packages.stand_ins() as names:
        import no_such_grammar_package

        assert names == ("no_such_grammar_package",)
        assert no_such_grammar_package.Matcher is object
    assert "no_such_grammar_package" not in sys.modules


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_other_devices_are_refused_with_a_way_out(device):
    text = f"vllm cannot run on '{device}'.*--framework transformers"
    with pytest.raises(MissingDeviceError, match=text):
        VllmAdapter().build(DSA, Case("dsa"), device)


def test_float32_is_refused_with_a_way_out():
    with pytest.raises(InputError, match="--dtype bfloat16"):
        VllmAdapter().build(DSA, Case("dsa", dtype="float32"), "cuda")


def test_an_unknown_reference_is_refused():
    with pytest.raises(InputError, match="runner, layer"):
        VllmAdapter(reference="engine")


def test_the_configuration_has_the_heads_of_one_rank_and_the_mocks_overrides():
    values = model_values(DSA, Case("dsa", tp=8), {"index_topk": 1024})
    assert (values["num_attention_heads"], values["num_key_value_heads"]) == (16, 16)
    assert values["index_topk"] == 1024
    assert values["q_lora_rank"] == 1536
    assert values["first_k_dense_replace"] >= values["num_hidden_layers"]


def test_prefill_steps_fill_the_past_within_the_token_budget():
    case = Case("dsa", phase="generation", batch_size=8, seq_len=1, kv_len=4096)
    done = plan.steps(case)
    assert [(step.start, step.length) for step in done] == [(0, 2048), (2048, 2047), (4095, 1)]
    assert all(step.length * 8 <= plan.PREFILL_TOKENS for step in done)


def test_a_context_case_without_a_past_is_one_step():
    assert plan.steps(Case("dsa", seq_len=40000, kv_len=40000)) == [plan.Step(0, 40000)]


def test_every_token_has_a_slot_of_its_own_outside_of_the_null_block():
    table = plan.contiguous_block_table(3, 130, 64, 8)
    assert table.shape == (3, 8)
    assert table[:, :3].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert not table[:, 3:].any()
    slots = np.concatenate(
        [plan.slot_mapping(table, step, 64) for step in (plan.Step(0, 129), plan.Step(129, 1))]
    )
    assert len(set(slots.tolist())) == 3 * 130
    assert slots.min() == 64
    assert plan.slot_mapping(table, plan.Step(129, 1), 64).tolist() == [193, 385, 577]


def test_positions_and_query_starts_follow_the_requests():
    step = plan.Step(5, 3)
    assert plan.positions(2, step).tolist() == [5, 6, 7, 5, 6, 7]
    assert plan.query_starts(2, step).tolist() == [0, 3, 6]


def test_sizes_leave_room_for_one_token_more_per_request():
    case = Case("dsa", batch_size=8, seq_len=4096, kv_len=16384)
    sizes = Sizes.of(case)
    assert sizes.model_len > case.kv_len
    assert sizes.batched_tokens >= case.new_tokens + case.batch_size
    assert sizes.cache_blocks(case, 64) >= 1 + 8 * 257


def test_blocks_are_handed_out_in_the_order_of_scheduling():
    case = Case("dsa", phase="generation", batch_size=2, seq_len=1, kv_len=200)
    requests = Requests(case, block_size=64, vocabulary=100)
    assert requests.prompt_len == 199
    assert requests.new_blocks(100) == [[1, 2], [3, 4]]
    assert requests.new_blocks(199) == [[5, 6], [7, 8]]
    assert requests.new_blocks(200) == [[], []]


def test_no_value_of_the_surrounding_model_is_one_that_the_operator_gives():
    assert not MODEL.keys() & DSA.dimensions.keys()


@pytest.fixture
def groups(monkeypatch):
    """vLLM's process groups, faked; notes what is made, destroyed and registered for the exit."""
    noted = SimpleNamespace(done=[], at_exit=[], joined=False)

    def destroys(name):
        def destroy():
            noted.done.append(name)
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        return destroy

    def join(*_sizes):
        noted.joined = True

    distributed = ModuleType("vllm.distributed")
    distributed.init_distributed_environment = lambda *_args: None
    distributed.ensure_model_parallel_initialized = join
    distributed.model_parallel_is_initialized = lambda: noted.joined
    distributed.destroy_model_parallel = destroys("model parallel")
    distributed.destroy_distributed_environment = destroys("process group")
    package = ModuleType("vllm")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "vllm", package)
    monkeypatch.setitem(sys.modules, "vllm.distributed", distributed)
    monkeypatch.setattr(engine.atexit, "register", noted.at_exit.append)
    engine._leave_at_exit.cache_clear()
    yield noted
    engine._leave_at_exit.cache_clear()


def test_process_groups_made_here_are_left_once_at_exit_whatever_fails(groups):
    for _ in range(2):
        engine._join_process_group(torch.device("cpu"))
        groups.joined = False  # others may destroy them in between
    (leave,) = groups.at_exit
    leave()
    assert groups.done == ["model parallel", "process group"]


def test_the_process_group_of_others_is_not_destroyed(groups, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    engine._join_process_group(torch.device("cpu"))
    (leave,) = groups.at_exit
    leave()
    assert groups.done == ["model parallel"]


def test_groups_that_others_made_are_left_alone(groups):
    groups.joined = True
    engine._join_process_group(torch.device("cpu"))
    assert groups.at_exit == []


def test_a_reset_compares_host_values_and_where_device_tensors_lie():
    lengths, slots = torch.tensor([5, 6]), torch.empty(4, dtype=torch.int64, device="meta")
    metadata = SimpleNamespace(num_reqs=2, lengths=lengths, slots=slots, nested=object())
    layer = SimpleNamespace(kv_cache=torch.empty(8, 2, device="meta"))
    context = SimpleNamespace(attn_metadata={"attn": metadata})
    fake = SimpleNamespace(layers={"attn": layer})
    before = host_state(fake, context)
    assert host_state(fake, context) == before
    lengths[1] = 7
    assert host_state(fake, context) != before
    lengths[1] = 6
    metadata.nested = object()  # of the same type: not looked into
    assert host_state(fake, context) == before
    metadata.slots = slots[:2]
    assert host_state(fake, context) != before


def test_rotary_frequencies_agree_with_transformers():
    pytest.importorskip("transformers")
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling = dict(DSA.dimensions["rope_scaling"])
    scaling.pop("type")
    config = AutoConfig.for_model("deepseek_v3", rope_parameters={"rope_theta": 10000.0, **scaling})
    theirs, attention_factor = ROPE_INIT_FUNCTIONS["yarn"](config, device="cpu")
    ours = torch.tensor(rotary.inverse_frequencies(DSA.dimensions))
    torch.testing.assert_close(ours, theirs.float(), rtol=1e-5, atol=1e-9)
    cos, _ = rotary.table(DSA.dimensions, torch.tensor([0]))
    assert cos[0, 0].item() == pytest.approx(attention_factor)
    assert rotary.softmax_scale(DSA.dimensions) == pytest.approx(192**-0.5 * 1.368888**2, rel=1e-5)


@pytest.mark.parametrize("interleaved", [True, False])
def test_a_rotation_keeps_lengths_and_depends_on_relative_position_only(interleaved):
    states = torch.randn(2, 1, 64, generator=torch.Generator().manual_seed(0))

    def score(one, two):
        cos, sin = rotary.table(DSA.dimensions, torch.tensor([one, two]))
        query, key = rotary.rotate(states, cos, sin, interleaved=interleaved)[:, 0]
        return (query @ key).item()

    assert score(7, 3) == pytest.approx(score(107, 103), abs=1e-3)
    assert score(7, 3) != pytest.approx(score(7, 4), abs=1e-3)


def test_indexer_keys_are_read_back_as_written():
    caches = KernelCaches(2, 100, 8, 128, torch.device("cpu"))
    step = plan.Step(0, 100)
    slots = torch.from_numpy(plan.slot_mapping(caches.host_table, step, BLOCK))
    keys = torch.randn(200, 128).to(torch.float8_e4m3fn)
    scales = torch.rand(200)
    caches.write(slots, torch.randn(200, 8).bfloat16(), keys, scales)
    for request in (0, 1):
        rows = slice(request * 100, (request + 1) * 100)
        values, factors = caches.read_keys(request, 100)
        assert torch.equal(values.float(), keys[rows].float())
        assert torch.equal(factors, scales[rows])
    block = caches.keys[int(caches.host_table[1, 1])]
    offset = 5  # token 69 of request 1: values of all tokens first, then the scales
    assert torch.equal(block[offset * 128 : offset * 128 + 128], keys[169].view(torch.uint8))
    assert block[BLOCK * 128 :].view(torch.float32)[offset] == scales[169]


SMALL = {
    **DSA.dimensions,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "q_lora_rank": 96,
    "kv_lora_rank": 512,
    "index_n_heads": 4,
    "index_topk": 64,
}


@pytest.fixture
def kernels_on_cpu(monkeypatch):
    """The kernels that the mock calls, written plainly, with the libraries' argument order."""

    def quantize(rows):
        scales = (rows.float().abs().amax(-1) / 448).clamp_min(1e-6)
        padded = torch.zeros(plan.round_up(len(rows), 4)).index_copy(
            0, torch.arange(len(rows)), scales
        )
        return (rows.float() / scales[:, None]).to(torch.float8_e4m3fn), padded[None]

    def top_k(logits, starts, ends, chosen, count):
        chosen.fill_(-1)
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            kept = min(count, end - start)
            best = logits[row, start:end].topk(kept).indices
            chosen[row, :kept] = best.to(torch.int32)

    def logits_of(query, keys, weights):
        scores = torch.relu(torch.einsum("qhd,kd->qhk", query.float(), keys))
        return torch.einsum("qhk,qh->qk", scores, weights)

    def mqa_logits(query, keys, weights, starts, ends, clean_logits):
        return logits_of(query[0], keys[0].float() * keys[1][:, None], weights)

    def paged_logits(query, cache, weights, lengths, table, schedule, max_model_len, clean_logits):
        flat = cache.reshape(len(cache), -1)
        values = flat[:, : BLOCK * 128].view(torch.float8_e4m3fn).float().unflatten(1, (BLOCK, 128))
        keys = values * flat.view(torch.float32)[:, BLOCK * 32 :][..., None]
        rows = []
        for request in range(len(table)):
            mine = keys[table[request].long()].flatten(0, 1)
            one = slice(request, request + 1)
            row = logits_of(query[0][request], mine, weights[one])
            rows.append(torch.nn.functional.pad(row, (0, max_model_len - row.shape[1])))
        return torch.cat(rows)

    def sparse(query, entries, chosen, scale):
        out = torch.zeros(*query.shape[:2], 512, dtype=query.dtype)
        for row in range(len(query)):
            slots = chosen[row, 0]
            kept = entries[slots[slots >= 0].long(), 0].float()
            share = torch.softmax(query[row].float() @ kept.T * scale, -1)
            out[row] = (share @ kept[:, :512]).to(query.dtype)
        return out, None, None

    trtllm = ModuleType("trtllm")
    trtllm.cublas_mm = lambda one, two, bias, dtype: (one.float() @ two.float()).to(dtype)
    trtllm.fp8_quantize_1x128 = quantize
    trtllm.indexer_topk_prefill = top_k
    trtllm.indexer_topk_decode = lambda logits, lengths, chosen, new, count: top_k(
        logits, torch.zeros_like(lengths), lengths, chosen, count
    )
    monkeypatch.setattr(torch.ops, "trtllm", trtllm, raising=False)
    deep_gemm, flashmla = ModuleType("deep_gemm"), ModuleType("flashmla")
    deep_gemm.fp8_fp4_mqa_logits = mqa_logits
    deep_gemm.fp8_fp4_paged_mqa_logits = paged_logits
    deep_gemm.get_paged_mqa_logits_metadata = lambda lengths, block, sms: None
    deep_gemm.get_num_sms = lambda: 132
    flashmla.flash_mla_sparse_fwd = sparse
    parents = ("vllm", "vllm.utils", "vllm.v1", "vllm.v1.attention", "vllm.v1.attention.ops")
    for name in parents:
        package = ModuleType(name)
        package.__path__ = []
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, "vllm.utils.deep_gemm", deep_gemm)
    monkeypatch.setitem(sys.modules, "vllm.v1.attention.ops.flashmla", flashmla)


def small_weights():
    random = torch.Generator().manual_seed(3)
    shapes = {
        "fused_qkv_a_proj.weight": (96 + 576, 256),
        "q_b_proj.weight": (4 * 192, 96),
        "o_proj.weight": (256, 4 * 128),
        "indexer.wq_b.weight": (4 * 128, 96),
        "indexer.wk_weights_proj.weight": (128 + 4, 256),
        "mla_attn.mla_attn.W_UK_T": (4, 128, 512),
        "mla_attn.mla_attn.W_UV": (4, 512, 128),
    }
    made = {
        name: (torch.randn(shape, generator=random) * shape[-1] ** -0.5).bfloat16()
        for name, shape in shapes.items()
    }
    made["q_a_layernorm.weight"] = torch.ones(96).bfloat16()
    made["kv_a_layernorm.weight"] = torch.ones(512).bfloat16()
    made["indexer.k_norm.weight"], made["indexer.k_norm.bias"] = torch.ones(128), torch.zeros(128)
    return made


def test_the_hand_assembled_mock_generates_what_its_context_computes(kernels_on_cpu):
    weights, batch, length = small_weights(), 2, 150
    states = torch.randn(batch, length, 256, generator=torch.Generator().manual_seed(4)).bfloat16()
    outputs = {}
    for phase, new in (("context", length), ("generation", 1)):
        case = Case("dsa-kernels", phase=phase, batch_size=batch, seq_len=new, kv_len=length)
        mock = KernelMock(SMALL, case, weights, torch.device("cpu"))
        *prefill, last = plan.steps(case, budget=120)
        for step in prefill:
            mock.run(step, states[:, step.start : step.end].flatten(0, 1))
        mock.prepare(last, states[:, last.start : last.end].flatten(0, 1))
        with mock.context():
            outputs[phase] = mock.call().view(batch, new, 256)[:, -1]
            mock.reset()
            assert torch.equal(mock.call().view(batch, new, 256)[:, -1], outputs[phase])
    assert outputs["context"].float().std() > 0.01
    torch.testing.assert_close(
        outputs["context"].float(), outputs["generation"].float(), rtol=0.05, atol=0.02
    )


SMALL_CASES = (
    Case("dsa", tp=8, batch_size=2, seq_len=2304, kv_len=2304),
    Case("dsa", tp=8, batch_size=2, seq_len=512, kv_len=2560),
    Case("dsa", phase="generation", tp=8, batch_size=3, seq_len=1, kv_len=2500),
)


@pytest.mark.gpu
@pytest.mark.parametrize("reference", ["runner", "layer"])
@pytest.mark.parametrize("case", SMALL_CASES, ids=lambda case: case.slug)
def test_both_sides_agree_on_a_gpu(case, reference):
    pytest.importorskip("vllm")
    sides = VllmAdapter(reference=reference).build(DSA, case, "cuda")
    try:
        outputs = []
        for side in (sides.mock, sides.reference):
            with side.context():
                for _ in range(2):
                    side.reset()
                    outputs.append(side.output(side.call()).float())
        assert not sides.unshared_weights
        assert torch.isfinite(outputs[0]).all()
        for other in outputs[1:]:  # top-k orders its choice freely, so sums may round differently
            assert (outputs[0] - other).norm() < 0.02 * outputs[0].norm()
    finally:
        sides.close()


@pytest.mark.gpu
def test_a_mock_with_another_top_k_gives_another_output_on_a_gpu():
    pytest.importorskip("vllm")
    changed = Differences(config={"index_topk": 1024})
    sides = VllmAdapter().build(DSA, SMALL_CASES[2], "cuda", changed)
    try:
        with sides.mock.context():
            one = sides.mock.call().float()
        with sides.reference.context():
            two = sides.reference.call().float()
        assert (one - two).norm() > 0.1 * two.norm()
    finally:
        sides.close()
