"""Probing, plumbing and errors of the TensorRT-LLM adapter, against fakes of 1.2 and 1.3.

TensorRT-LLM cannot be installed where these tests run. The fakes have its names, signatures and
call order (as read in the public source) and compute nothing of its operators: what passes here
proves which keywords go where and what the two sides share, not that a kernel is right.
"""

from __future__ import annotations

import dataclasses
import importlib.machinery
import json
import sys
import types
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.errors import HarnessError, InputError, MissingDeviceError, MissingPackageError
from ops.adapters.tensorrt_llm import TensorrtLlmAdapter
from ops.adapters.tensorrt_llm.build import build_sides
from ops.adapters.tensorrt_llm.probing import Api, keywords_of
from ops.case import Case
from ops.dsa import DSA
from ops.spec import Differences, OpSpec

HIDDEN = 8
OP: OpSpec = replace(DSA, dimensions={**DSA.dimensions, "hidden_size": HIDDEN})
CONTEXT = Case("dsa", "context", tp=8, batch_size=2, seq_len=4, kv_len=10)
DECODE = Case("dsa", "generation", tp=8, batch_size=3, seq_len=1, kv_len=7)
V12, V13 = "1.2.0", "1.3.0rc22"


class Log(list[tuple[str, dict[str, Any]]]):
    """What the fakes were called with, in order."""

    def of(self, name: str) -> list[dict[str, Any]]:
        return [values for found, values in self if found == name]


class Kind(Enum):
    Attention = 1
    MoeShared = 2
    MoeChunkingOverlap = 3


@dataclass
class ModelConfig:
    pretrained_config: Any = None
    mapping: Any = None
    attn_backend: str = ""
    moe_backend: str = ""
    skip_create_weights_in_init: bool = False
    max_num_tokens: int = 0
    max_seq_len: int = 0
    use_cuda_graph: bool = False
    sparse_attention_config: Any = None
    extra_attrs: dict[str, Any] = field(default_factory=dict)
    enable_flash_mla = False

    @classmethod
    def from_pretrained(cls, checkpoint_dir: str, trust_remote_code=False, **kwargs):
        values = json.loads((Path(checkpoint_dir) / "config.json").read_text())
        LOG.append(("config.json", values))
        values["torch_dtype"] = torch.bfloat16
        sparse = SimpleNamespace(
            to_sparse_params=lambda pretrained_config: ("params", pretrained_config),
            to_sparse_metadata_params=lambda pretrained_config: ("lowered", pretrained_config),
        )
        made = cls(SimpleNamespace(**values), sparse_attention_config=sparse, **kwargs)
        LOG.append(("ModelConfig", {**kwargs, "self": made}))
        return made


class Attention(torch.nn.Module):
    """Its output depends on a tensor derived after loading, as DSA's fused weights do."""

    def __init__(self, config) -> None:
        super().__init__()
        self.config, self.indexer = config, object()

    def create_weights(self) -> None:
        heads = self.config.pretrained_config.num_attention_heads
        self.weight = torch.nn.Parameter(torch.empty(HIDDEN, HIDDEN, dtype=torch.bfloat16))
        self.per_head = torch.nn.Parameter(torch.empty(heads, 1, dtype=torch.bfloat16))

    def post_load_weights(self) -> None:
        self.derived = self.weight.detach() * 2

    def forward(self, position_ids, hidden_states, attn_metadata, all_reduce_params=None):
        assert attn_metadata.prepared == 1
        assert ACTIVE[-1] is self.config.extra_attrs
        assert ACTIVE[-1]["attention_metadata"]() is attn_metadata
        LOG.append(("self_attn", {k: v for k, v in locals().items() if k != "self"}))
        LOG[-1][1].update(
            module=self, multi_stream=STREAMS[-1], inference=torch.is_inference_mode_enabled()
        )
        return hidden_states @ self.derived


class Layer(torch.nn.Module):
    def __init__(self, model_config, layer_idx, aux_stream_dict) -> None:
        super().__init__()
        LOG.append(("layer", {"streams": aux_stream_dict, "layer_idx": layer_idx}))
        self.self_attn = Attention(model_config)
        self.next_layer_layernorm = None

    def forward(self, position_ids, hidden_states, attn_metadata, residual, **kwargs):
        assert residual is None
        hidden = self.self_attn(
            position_ids=position_ids,
            hidden_states=hidden_states + 1,
            attn_metadata=attn_metadata,
            all_reduce_params="no allreduce",
        )
        return self.next_layer_layernorm(hidden), hidden_states


class Norm(torch.nn.Module):
    def __init__(self, *, hidden_size, eps, dtype) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(hidden_size, dtype=dtype))

    def forward(self, hidden):
        return hidden * self.weight


@dataclass(kw_only=True)
class BaseMetadata:
    max_num_requests: int
    max_num_tokens: int
    kv_cache_manager: Any
    seq_lens: Any
    num_contexts: int
    mapping: Any = None
    request_ids: Any = None
    prompt_lens: Any = None
    kv_cache_params: Any = None
    runtime_features: Any = None
    enable_flash_mla: bool = False
    enable_context_mla_with_cached_kv: bool = False
    workspace: Any = None
    for_graphs: bool = field(default=False, init=False)
    prepared: int = field(default=0, init=False)

    def prepare(self) -> None:
        assert self.indexer is not None
        self.prepared += 1
        LOG.append(("prepare", {"metadata": self}))

    def create_cuda_graph_metadata(self, max_batch_size, sub_cross_metadata=False):
        made = dataclasses.replace(self)
        made.indexer, made.for_graphs = self.indexer, True
        made.seq_lens = torch.ones(max_batch_size, dtype=torch.int32)
        return made


@dataclass(kw_only=True)
class Metadata12(BaseMetadata):
    sparse_attention_config: Any = None
    indexer: Any = None


@dataclass(init=False)
class Metadata13(BaseMetadata):
    sparse_metadata_params: Any = None
    indexer: Any = None

    def __init__(self, *args, **kwargs) -> None:
        known = {f.name for f in dataclasses.fields(self) if f.init}
        assert set(kwargs) <= known
        for f in dataclasses.fields(self):
            setattr(self, f.name, kwargs.get(f.name, f.default))


class BaseManager:
    def __init__(
        self,
        kv_cache_config,
        kv_cache_type,
        *,
        num_layers,
        num_kv_heads,
        head_dim,
        tokens_per_block,
        max_seq_len,
        max_batch_size,
        mapping,
        dtype=None,
        layer_mask=None,
        max_num_tokens=8192,
        model_config=None,
    ) -> None:
        self.alive = True

    def add_dummy_requests(self, request_ids, token_nums=None) -> None:
        LOG.append(("requests", {"ids": request_ids, "tokens": token_nums}))

    def shutdown(self) -> None:
        assert self.alive
        self.alive = False


class Manager12(BaseManager):
    def __init__(self, kv_cache_config, kv_cache_type, *, sparse_attn_config, **kwargs) -> None:
        LOG.append(
            (
                "manager",
                {
                    **kwargs,
                    "sparse_attn_config": sparse_attn_config,
                    "self": self,
                    "pool": kv_cache_config,
                    "type": kv_cache_type,
                },
            )
        )
        super().__init__(kv_cache_config, kv_cache_type, **kwargs)


class Manager13(BaseManager):
    def __init__(
        self,
        kv_cache_config,
        kv_cache_type,
        *,
        sparse_attention_config=None,
        pretrained_config=None,
        **kwargs,
    ) -> None:
        assert sparse_attention_config is not None
        LOG.append(
            (
                "manager",
                {
                    **kwargs,
                    "sparse_attention_config": sparse_attention_config,
                    "pretrained_config": pretrained_config,
                    "self": self,
                    "pool": kv_cache_config,
                    "type": kv_cache_type,
                },
            )
        )
        super().__init__(kv_cache_config, kv_cache_type, **kwargs)


@dataclass
class RuntimeFeatures:
    chunked_prefill: bool = False
    cache_reuse: bool = False
    chunk_size: int = 0


@contextmanager
def entered(stack: list[Any], value: Any):
    stack.append(value)
    try:
        yield
    finally:
        stack.pop()


LOG = Log()
ACTIVE: list[Any] = []
STREAMS: list[bool] = []


def backend_of(metadata: type) -> dict[str, Any]:
    made = SimpleNamespace(Metadata=metadata)

    def old(backend_name, sparse_attn_config=None):
        LOG.append(("backend", {"name": backend_name, "sparse_attn_config": sparse_attn_config}))
        return made

    def new(backend_name, sparse_params=None):
        LOG.append(("backend", {"name": backend_name, "sparse_params": sparse_params}))
        return made

    return {"old": old, "new": new}


def choose_12(model_config):
    return Manager12


def choose_13(model_config, kv_cache_config, is_disagg=False):
    LOG.append(("choose", {"kv_cache_config": kv_cache_config}))
    return Manager13


def names_of_release(version: str) -> dict[str, dict[str, Any]]:
    """Module below tensorrt_llm -> its names."""
    new = version.startswith("1.3")
    backend = backend_of(Metadata13 if new else Metadata12)["new" if new else "old"]
    return {
        "_torch.model_config": {"ModelConfig": ModelConfig},
        "_torch.models.modeling_deepseekv3": {"DeepseekV3DecoderLayer": Layer},
        "_torch.modules.rms_norm": {"RMSNorm": Norm},
        "_torch.modules.multi_stream_utils": {
            "with_multi_stream": lambda enable: entered(STREAMS, enable)
        },
        "_torch.utils": {
            "AuxStreamType": Kind,
            "get_model_extra_attrs": lambda: ACTIVE[-1],
            "model_extra_attrs": lambda attrs: entered(ACTIVE, attrs),
        },
        "_torch.pyexecutor.model_loader": {"initialize_dummy_weights": lambda model: None},
        "_torch.pyexecutor._util": {"get_kv_cache_manager_cls": choose_13 if new else choose_12},
        "_torch.attention_backend.utils": {"get_attention_backend": backend},
        "_torch.attention_backend.interface": {"AttentionRuntimeFeatures": RuntimeFeatures},
        "_torch.metadata": {"KVCacheParams": SimpleNamespace},
        "llmapi.llm_args" if new else "bindings.executor": {"KvCacheConfig": SimpleNamespace},
        "bindings.internal.batch_manager": {"CacheType": SimpleNamespace(SELFKONLY="self k")},
        "_utils": {"torch_dtype_to_binding": lambda dtype: f"binding of {dtype}"},
        "mapping": {"Mapping": SimpleNamespace},
    }


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Puts a fake release in sys.modules, with its folder and distribution metadata on the path."""

    def put(version: str, stub: bool = False) -> dict[str, types.ModuleType]:
        folder = tmp_path / "tensorrt_llm"
        folder.mkdir()
        (folder / "__init__.py").touch()
        if not stub:
            (folder / "_torch").mkdir()
        info = tmp_path / f"tensorrt_llm-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: tensorrt_llm\nVersion: {version}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: object())
        LOG.clear()
        STREAMS[:], ACTIVE[:] = [False], []
        if stub:
            return {}
        top = types.ModuleType("tensorrt_llm")
        top.__path__ = []  # nothing is imported from the folder
        top.__spec__ = importlib.machinery.ModuleSpec("tensorrt_llm", None, is_package=True)
        top.__spec__.submodule_search_locations = [str(folder)]
        monkeypatch.setitem(sys.modules, "tensorrt_llm", top)
        found = {}
        for place, names in names_of_release(version).items():
            path = f"tensorrt_llm.{place}"
            for parent in [path.rsplit(".", n)[0] for n in range(1, path.count("."))]:
                package = types.ModuleType(parent)
                package.__path__ = []
                if parent not in sys.modules:
                    monkeypatch.setitem(sys.modules, parent, package)
            module = types.ModuleType(path)
            vars(module).update(names)
            monkeypatch.setitem(sys.modules, path, module)
            found[place] = module
        return found

    return put


@pytest.fixture(params=[V12, V13])
def version(request, install) -> str:
    install(request.param)
    return request.param


def sides_of(version: str, case: Case, differences: Differences = Differences()):
    return build_sides(Api(version), OP, case, "cpu", differences)


def forwards(side) -> list[dict[str, Any]]:
    return [call for call in LOG.of("self_attn") if call["module"] is side.module]


def called(side) -> tuple[Any, dict[str, Any]]:
    side.reset()
    with side.context():
        result = side.call()
    side.reset()
    return side.output(result), forwards(side)[-1]


def test_12_takes_its_own_keywords_and_places(install):
    install(V12)
    sides_of(V12, DECODE)
    for manager in LOG.of("manager"):
        assert manager["sparse_attn_config"] is manager["model_config"].sparse_attention_config
        assert "sparse_attention_config" not in manager
        assert "pretrained_config" not in manager
        assert manager["tokens_per_block"] == (32 if "max_num_tokens" in manager else 64)
    backend = LOG.of("backend")[-1]
    assert backend["name"] == "TRTLLM"
    assert hasattr(backend["sparse_attn_config"], "to_sparse_params")
    metadata = LOG.of("prepare")[-1]["metadata"]
    assert metadata.sparse_attention_config is backend["sparse_attn_config"]
    assert Api(V12).places["KvCacheConfig"] == "tensorrt_llm.bindings.executor"


def test_13_takes_its_own_keywords_and_places(install):
    install(V13)
    sides_of(V13, DECODE)
    for manager in LOG.of("manager"):
        assert manager["pretrained_config"] is manager["model_config"].pretrained_config
        assert "sparse_attn_config" not in manager
        assert manager["tokens_per_block"] == 32
    assert [c["kv_cache_config"] for c in LOG.of("choose")] == [
        m["pool"] for m in LOG.of("manager")
    ]
    assert LOG.of("backend")[-1]["sparse_params"][0] == "params"
    assert LOG.of("prepare")[-1]["metadata"].sparse_metadata_params[0] == "lowered"
    assert Api(V13).places["KvCacheConfig"] == "tensorrt_llm.llmapi.llm_args"


def test_cache_managers_are_those_of_an_mla_layer(version):
    sides_of(version, DECODE)
    for manager in LOG.of("manager"):
        assert (manager["head_dim"], manager["num_kv_heads"], manager["num_layers"]) == (576, 1, 1)
        assert manager["type"] == "self k"
        assert manager["dtype"] == "binding of torch.bfloat16"
        assert manager["pool"].enable_block_reuse is False
        assert manager["pool"].max_tokens % manager["tokens_per_block"] == 0
        assert manager["pool"].max_tokens >= DECODE.batch_size * DECODE.kv_len
    assert all(r == {"ids": [0, 1, 2], "tokens": [7, 7, 7]} for r in LOG.of("requests"))
    reference, mock = LOG.of("manager")
    assert reference["max_seq_len"] == 163840  # what the engine can serve
    assert mock["max_seq_len"] == 7  # sized to the case


def test_config_is_the_published_one_with_the_heads_of_one_rank(version):
    sides_of(version, CONTEXT)
    for values in LOG.of("config.json"):
        assert values["num_attention_heads"] == values["num_key_value_heads"] == 16
        assert values["architectures"] == ["DeepseekV32ForCausalLM"]
        assert (values["kv_lora_rank"], values["index_topk"]) == (512, 2048)
        assert "quantization_config" not in values
    for config in LOG.of("ModelConfig"):
        assert vars(config["mapping"]) == {"world_size": 1, "rank": 0, "tp_size": 1, "pp_size": 1}
        assert (config["attn_backend"], config["moe_backend"]) == ("TRTLLM", "CUTLASS")
        assert config["skip_create_weights_in_init"] is True


@pytest.mark.parametrize("case", [CONTEXT, DECODE], ids=["context", "generation"])
def test_sides_share_no_object_but_values(version, case):
    sides = sides_of(version, case)
    _, mock = called(sides.mock)
    _, reference = called(sides.reference)
    assert mock["attn_metadata"] is not reference["attn_metadata"]
    for name in ("kv_cache_manager", "kv_cache_params", "mapping", "workspace", "indexer"):
        ours, theirs = (
            getattr(mock["attn_metadata"], name),
            getattr(reference["attn_metadata"], name),
        )
        assert ours is not theirs, name
        assert ours is not None, name
    one, other = [c["self"] for c in LOG.of("ModelConfig")]
    assert one is not other
    assert one.pretrained_config is not other.pretrained_config
    assert one.extra_attrs is not other.extra_attrs
    assert sides.mock.module is not sides.reference.module
    assert mock["hidden_states"].data_ptr() != reference["hidden_states"].data_ptr()
    assert torch.equal(mock["hidden_states"], reference["hidden_states"])
    for name, weight in sides.reference.weights.items():
        assert torch.equal(weight, sides.mock.weights[name])
        assert weight.data_ptr() != sides.mock.weights[name].data_ptr()
    first, second = LOG.of("layer")
    assert not {id(s) for s in first["streams"].values()} & {
        id(s) for s in second["streams"].values()
    }


def test_weights_are_shared_before_tensors_are_derived_from_them(version):
    sides = sides_of(version, CONTEXT)
    assert torch.equal(sides.mock.module.derived, sides.reference.module.derived)
    assert torch.equal(called(sides.mock)[0], called(sides.reference)[0])
    assert sides.unshared_weights == ()
    assert "2 weight tensors, copied by name" in sides.shared


def test_reference_alone_gets_what_the_running_layer_gave_it(version):
    sides = sides_of(version, CONTEXT)
    _, alone = called(sides.reference)
    result, inside = called(sides.in_layer)
    assert sides.in_layer.module is sides.reference.module
    assert alone["all_reduce_params"] == inside["all_reduce_params"] == "no allreduce"
    assert alone["position_ids"] is inside["position_ids"]
    assert alone["attn_metadata"] is inside["attn_metadata"]
    assert torch.equal(alone["hidden_states"], inside["hidden_states"])
    assert result.shape == (CONTEXT.new_tokens, HIDDEN)
    assert called(sides.mock)[1]["all_reduce_params"] is None


def test_positions_are_those_of_the_collector_and_of_serving(version):
    sides = sides_of(version, DECODE)
    mock, reference = called(sides.mock)[1], called(sides.reference)[1]
    assert mock["position_ids"].dtype == torch.int64
    assert mock["position_ids"].tolist() == [5, 5, 5]
    assert reference["position_ids"].dtype == torch.int32
    assert reference["position_ids"].tolist() == [[6, 6, 6]]
    sides = sides_of(version, CONTEXT)
    assert called(sides.mock)[1]["position_ids"].tolist() == [6, 7, 8, 9] * 2
    assert called(sides.reference)[1]["position_ids"].tolist() == [[6, 7, 8, 9] * 2]


def test_only_decoding_in_serving_is_multi_stream_and_has_graph_buffers(version):
    sides = sides_of(version, DECODE)
    _, reference = called(sides.reference)
    assert reference["multi_stream"] is True
    assert reference["attn_metadata"].for_graphs
    assert called(sides.in_layer)[1]["multi_stream"] is True
    assert called(sides.mock)[1]["multi_stream"] is False
    sides = sides_of(version, CONTEXT)
    assert called(sides.reference)[1]["multi_stream"] is False
    assert not called(sides.reference)[1]["attn_metadata"].for_graphs
    assert STREAMS == [False]
    assert ACTIVE == []


@pytest.mark.parametrize("case", [CONTEXT, DECODE], ids=["context", "generation"])
def test_each_side_prefills_its_own_past_in_chunks(version, case, monkeypatch):
    monkeypatch.setattr("ops.adapters.tensorrt_llm.serving.MAX_NUM_TOKENS", 4 * case.batch_size)
    sides = sides_of(version, case)
    called(sides.mock)  # the reference has run its new tokens to note what the layer passes
    for side in (sides.reference, sides.mock):
        steps = [call["attn_metadata"] for call in forwards(side)]
        assert all(call["inference"] for call in forwards(side))
        cached = [step.kv_cache_params.num_cached_tokens_per_seq[0] for step in steps]
        assert cached == [0, 4, 6]
        assert [step.seq_lens.tolist()[0] for step in steps] == [4, 2, case.seq_len]
        assert [step.num_contexts > 0 for step in steps] == [True, True, case.phase == "context"]
        assert steps[1].enable_context_mla_with_cached_kv is True
        assert len({id(step.kv_cache_manager) for step in steps}) == 1
    for ours, theirs in zip(forwards(sides.mock), forwards(sides.reference), strict=True):
        assert torch.equal(ours["hidden_states"], theirs["hidden_states"])


def test_the_engine_has_chunked_prefill_only_where_a_chunk_finds_cached_tokens(version):
    sides = sides_of(version, DECODE)
    assert called(sides.reference)[1]["attn_metadata"].runtime_features.chunked_prefill is False
    sides = sides_of(version, CONTEXT)
    found = called(sides.reference)[1]["attn_metadata"]
    assert found.runtime_features == RuntimeFeatures(chunked_prefill=True, chunk_size=8192)
    assert found.enable_context_mla_with_cached_kv is True
    assert called(sides.mock)[1]["attn_metadata"].runtime_features.cache_reuse is True


def test_prompt_lens_are_the_chunk_in_prefill_and_the_past_in_decoding(version):
    sides = sides_of(version, DECODE)
    called(sides.mock)
    for side in (sides.mock, sides.reference):
        assert [c["attn_metadata"].prompt_lens for c in forwards(side)] == [[6] * 3, [6] * 3]
    sides = sides_of(version, CONTEXT)
    assert called(sides.mock)[1]["attn_metadata"].prompt_lens == [4, 4]


def test_reset_asserts_the_cached_tokens_and_calls_nothing(version):
    sides = sides_of(version, DECODE)
    metadata = called(sides.mock)[1]["attn_metadata"]
    before = len(LOG)
    sides.mock.reset()
    metadata.kv_cache_params.num_cached_tokens_per_seq = [7] * 3
    with pytest.raises(AssertionError, match=r"num_cached_tokens_per_seq .* is \[7, 7, 7\] before"):
        sides.mock.reset()
    sides.reference.reset()
    assert len(LOG) == before
    assert metadata.prepared == 1


def test_differences_reach_the_mock_alone(version):
    sides = sides_of(
        version,
        CONTEXT,
        Differences(config={"index_topk": 64}, case={"tp": 4, "kv_len": 12, "batch_size": 3}),
    )
    reference, mock = LOG.of("config.json")
    assert (reference["index_topk"], reference["num_attention_heads"]) == (2048, 16)
    assert (mock["index_topk"], mock["num_attention_heads"]) == (64, 32)
    assert sides.unshared_weights == ("per_head: [16, 1] in the reference, [32, 1] in the mock",)
    metadata = called(sides.mock)[1]["attn_metadata"]
    assert metadata.kv_cache_params.num_cached_tokens_per_seq == [8] * 3
    assert called(sides.reference)[1]["attn_metadata"].seq_lens.tolist() == [4, 4]


def test_weights_of_its_own_differ(version):
    sides = sides_of(version, CONTEXT, Differences(share_weights=False))
    assert sides.unshared_weights == ("weights are not shared, on request",)
    assert not torch.equal(sides.mock.weights["weight"], sides.reference.weights["weight"])


def test_attention_and_shared_experts_have_one_stream(version):
    sides_of(version, CONTEXT)
    for built in LOG.of("layer"):
        streams = built["streams"]
        assert streams[Kind.Attention] is streams[Kind.MoeShared]
        assert streams[Kind.Attention] is not streams[Kind.MoeChunkingOverlap]


def test_closing_frees_both_caches_once(version):
    sides = sides_of(version, CONTEXT)
    managers = [m["self"] for m in LOG.of("manager")]
    assert len(managers) == 2
    sides.close()
    sides.close()
    assert not any(manager.alive for manager in managers)


def test_a_failed_build_frees_the_cache(install, monkeypatch):
    install(V13)
    monkeypatch.setattr(Attention, "forward", lambda self, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sides_of(V13, CONTEXT)
    assert [m["self"].alive for m in LOG.of("manager")] == [False]


def test_notes_say_what_the_reader_must_know(version):
    notes = " ".join(sides_of(version, CONTEXT).notes)
    assert f"tensorrt_llm {version}" in notes
    assert "tensorrt_llm._torch.models.modeling_deepseekv3" in notes
    assert "autotuner" in notes


def message(error: HarnessError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


def test_absent_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    state = TensorrtLlmAdapter().availability(DSA)
    assert not state.ok
    assert state.missing_package
    assert state.reason == "tensorrt_llm is not installed"
    assert "pip install 'tensorrt_llm>=1.2" in state.fix
    with pytest.raises(MissingPackageError, match="not installed"):
        TensorrtLlmAdapter().build(DSA, CONTEXT, "cuda")


def test_stub_from_pypi_counts_as_missing(install):
    install(V12, stub=True)
    state = TensorrtLlmAdapter().availability(DSA)
    assert state.missing_package
    assert "1.2.0 has no tensorrt_llm._torch (looked in " in state.reason
    assert "stub that PyPI holds" in state.reason
    assert "tensorrt_llm" not in sys.modules  # asking does not import it


@pytest.mark.parametrize(
    ("found", "why"), [("1.1.0rc5", "1.1.0rc5 is older than 1.2"), ("1.4.0", "1.4.0 is newer")]
)
def test_other_releases_count_as_missing(install, found, why):
    install(found)
    state = TensorrtLlmAdapter().availability(DSA)
    assert state.missing_package
    assert why in state.reason


@pytest.mark.parametrize(
    ("capability", "ok", "why"),
    [(None, False, "no CUDA device"), ((8, 0), False, "sm_80"), ((9, 0), True, V12)],
)
def test_the_device_must_be_hopper_or_newer(install, monkeypatch, capability, ok, why):
    install(V12)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    state = TensorrtLlmAdapter().availability(DSA)
    assert state.ok is ok
    assert why in state.reason
    assert not state.missing_package


def test_only_cuda_devices_are_accepted(version):
    with pytest.raises(MissingDeviceError, match=r"cannot run on 'meta'.*--framework transformers"):
        TensorrtLlmAdapter().build(DSA, CONTEXT, "meta")
    with pytest.raises(MissingDeviceError, match="no CUDA device"):
        TensorrtLlmAdapter().build(DSA, CONTEXT, "cuda")


def test_a_device_that_is_not_there_is_named(version, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(MissingDeviceError, match="there is no cuda:3"):
        TensorrtLlmAdapter().build(DSA, CONTEXT, "cuda:3")


def test_versions_name_the_release(version):
    assert TensorrtLlmAdapter().versions()["tensorrt_llm"] == version


def test_a_layer_that_does_not_call_its_attention_as_a_module_is_refused(version, monkeypatch):
    def forward(self, position_ids, hidden_states, attn_metadata, residual, **kwargs):
        return self.self_attn.forward(position_ids, hidden_states, attn_metadata), hidden_states

    monkeypatch.setattr(Layer, "forward", forward)
    with pytest.raises(InputError, match="the running layer did not call Attention as a module"):
        sides_of(version, CONTEXT)


def test_missing_names_are_listed_with_the_places_that_were_looked_in(install):
    modules = install(V13)
    del modules["_torch.modules.multi_stream_utils"].with_multi_stream
    del sys.modules["tensorrt_llm.llmapi.llm_args"]
    with pytest.raises(MissingPackageError) as caught:
        Api(V13)
    text = message(caught.value)
    assert "tensorrt_llm 1.3.0rc22 lacks with_multi_stream (looked in " in text
    assert "tensorrt_llm._torch.modules.multi_stream_utils: AttributeError" in text
    assert "KvCacheConfig (looked in tensorrt_llm.llmapi.llm_args: ModuleNotFoundError" in text
    assert "tensorrt_llm.bindings.executor" in text


def test_missing_keyword_is_named_with_the_function_and_version(install):
    modules = install(V13)

    def get_attention_backend(backend_name, sparse=None): ...

    modules["_torch.attention_backend.utils"].get_attention_backend = get_attention_backend
    with pytest.raises(MissingPackageError) as caught:
        sides_of(V13, CONTEXT)
    text = message(caught.value)
    assert "get_attention_backend of tensorrt_llm 1.3.0rc22 takes no sparse_params or" in text
    assert "(it takes backend_name, sparse)" in text


def test_missing_required_keyword_is_refused(install):
    modules = install(V12)

    class Other(torch.nn.Module):
        def __init__(self, model_config, layer_idx) -> None:
            super().__init__()

    modules["_torch.models.modeling_deepseekv3"].DeepseekV3DecoderLayer = Other
    with pytest.raises(MissingPackageError, match=r"1\.2\.0 takes no aux_stream_dict"):
        sides_of(V12, CONTEXT)


def test_keywords_are_found_through_open_constructors_and_dataclasses():
    assert "sparse_metadata_params" in keywords_of(Metadata13)[0]
    assert "prepared" not in keywords_of(Metadata13)[0]
    names, is_open = keywords_of(Manager13)
    assert {"pretrained_config", "tokens_per_block"} <= names
    assert not is_open  # the base takes no others


@pytest.mark.parametrize(
    ("op", "case", "why"),
    [
        (OP, replace(CONTEXT, dtype="float16"), "bfloat16 only, not float16"),
        (OP, Case("dsa", "generation", seq_len=1, kv_len=1), "at least one cached token"),
        (OP, replace(CONTEXT, tp=3), "--tp 3 does not divide the 128 heads"),
        (replace(OP, mock="kernels"), CONTEXT, "its mock is kernels"),
        (replace(OP, dimensions={"num_attention_heads": 8}), CONTEXT, "lack hidden_size"),
    ],
)
def test_cases_that_cannot_be_built_are_refused(version, op, case, why):
    with pytest.raises(InputError) as caught:
        build_sides(Api(version), op, case, "cpu", Differences())
    assert why in message(caught.value)


def test_a_mock_of_another_dtype_is_refused(version):
    with pytest.raises(InputError, match="bfloat16 only, not float32"):
        sides_of(version, CONTEXT, Differences(case={"dtype": "float32"}))


def test_a_configuration_without_sparse_attention_is_refused(install, monkeypatch):
    install(V12)
    plain = SimpleNamespace(sparse_attention_config=None)
    monkeypatch.setattr(ModelConfig, "from_pretrained", lambda *args, **kwargs: plain)
    with pytest.raises(InputError, match=r"1\.2\.0 made no sparse_attention_config"):
        sides_of(V12, CONTEXT)


def test_several_ranks_are_refused(version, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 8)
    with pytest.raises(InputError, match="one of 8 ranks"):
        sides_of(version, CONTEXT)
