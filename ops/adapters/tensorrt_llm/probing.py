"""Which TensorRT-LLM is installed, where its names are, and which keywords they take.

Import paths and keywords moved between 1.2 and 1.3 and between release candidates, so each is
looked for, and an error names what was looked for, where, and the version found.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.errors import MissingPackageError

PACKAGE = "tensorrt_llm"
MINIMUM, BEYOND = (1, 2), (1, 4)
"""Releases from MINIMUM up to, without, BEYOND have the names that are looked for here."""

FIX = (
    "run pip install 'tensorrt_llm>=1.2,<1.4' with NVIDIA's package index as --extra-index-url, "
    "or use NVIDIA's tensorrt-llm container"
)

PLACES: Mapping[str, tuple[str, ...]] = {
    "ModelConfig": ("_torch.model_config",),
    "DeepseekV3DecoderLayer": ("_torch.models.modeling_deepseekv3",),
    "RMSNorm": ("_torch.modules.rms_norm",),
    "with_multi_stream": ("_torch.modules.multi_stream_utils",),
    "AuxStreamType": ("_torch.utils",),
    "get_model_extra_attrs": ("_torch.utils",),
    "model_extra_attrs": ("_torch.utils",),
    "initialize_dummy_weights": ("_torch.pyexecutor.model_loader",),
    "get_kv_cache_manager_cls": ("_torch.pyexecutor._util",),
    "get_attention_backend": ("_torch.attention_backend.utils",),
    "AttentionRuntimeFeatures": ("_torch.attention_backend.interface",),
    "KVCacheParams": ("_torch.metadata",),
    "KvCacheConfig": ("llmapi.llm_args", "bindings.executor"),
    "CacheType": ("bindings.internal.batch_manager",),
    "torch_dtype_to_binding": ("_utils",),
    "Mapping": ("mapping",),
}
"""Each name and the modules below ``tensorrt_llm`` that have it, newest known place first.

Sources: tensorrt_llm/tools/layer_wise_benchmarks (runner.py, runner_utils.py) in
NVIDIA/TensorRT-LLM and collector/trtllm/collect_mla_module.py in ai-dynamo/aiconfigurator.
"""


def installed_version() -> str:
    """Version of the installed TensorRT-LLM, without importing it (importing starts MPI).

    Raises:
        MissingPackageError: it is absent, a stub, or of another release than 1.2 or 1.3.
    """
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except ValueError:  # something that is no installed package sits in sys.modules
        spec = None
    if spec is None:
        raise MissingPackageError(f"{PACKAGE} is not installed", fix=FIX)
    folders = list(spec.submodule_search_locations or [])
    try:
        found = version(PACKAGE)
    except PackageNotFoundError as error:
        raise MissingPackageError(
            f"{PACKAGE} in {', '.join(folders)} has no distribution metadata to tell its version",
            fix=FIX,
        ) from error
    if not any((Path(folder) / "_torch").is_dir() for folder in folders):
        raise MissingPackageError(
            f"{PACKAGE} {found} has no {PACKAGE}._torch (looked in {', '.join(folders) or 'no'} "
            "folder): it is the stub that PyPI holds",
            fix=FIX,
        )
    _check_release(found)
    return found


def release(found: str) -> tuple[int, int]:
    """(major, minor) of a version; (0, 0) when it does not start with two numbers."""
    match = re.match(r"(\d+)\.(\d+)", found)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _check_release(found: str) -> None:
    if release(found) < MINIMUM:
        raise MissingPackageError(f"{PACKAGE} {found} is older than 1.2", fix=FIX)
    if release(found) >= BEYOND:
        raise MissingPackageError(
            f"{PACKAGE} {found} is newer than 1.3, the last release this adapter knows", fix=FIX
        )


class Api:
    """The names of the installed release, each found in the first place that has it.

    Args:
        found: version, for messages.

    Attributes:
        version: the same.
        places: name -> full path of the module it came from, as evidence.

    Raises:
        MissingPackageError: one or more names are in none of their `PLACES`.
    """

    def __init__(self, found: str) -> None:
        self.version = found
        self.places: dict[str, str] = {}
        self._names: dict[str, Any] = {}
        missing = [text for name in PLACES if (text := self._look_for(name))]
        if missing:
            raise MissingPackageError(f"{PACKAGE} {found} lacks {'; '.join(missing)}", fix=FIX)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_names"][name]
        except KeyError:
            raise AttributeError(name) from None

    def _look_for(self, name: str) -> str:
        """Find a name; a phrase on where it was looked for when it is nowhere."""
        tried = []
        for place in PLACES[name]:
            path = f"{PACKAGE}.{place}"
            try:
                self._names[name] = getattr(import_module(path), name)
            except (ImportError, AttributeError, OSError) as error:
                # OSError: a library that the module loads is absent or of another CUDA version
                tried.append(f"{path}: {type(error).__name__} {_one_line(error)}")
                continue
            self.places[name] = path
            return ""
        return f"{name} (looked in {', '.join(tried)})"

    def fitting(
        self, function: Callable[..., Any], required: Iterable[str], offered: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Those of the offered keywords that ``function`` takes in this release.

        Args:
            function: a function or class.
            required: names without which the call would mean something else.
            offered: name -> value.

        Raises:
            MissingPackageError: a required name is not taken.
        """
        names, is_open = keywords_of(function)
        lost = [name for name in required if name not in names and not is_open]
        if lost:
            self._refuse(function, " and ".join(lost), names)
        kept = names | set(required)
        return {name: value for name, value in offered.items() if name in kept}

    def one_of(
        self, function: Callable[..., Any], alternatives: Mapping[str, Callable[[], Any]]
    ) -> dict[str, Any]:
        """The first of several names for one thing that ``function`` takes, with its value.

        Args:
            function: a function or class.
            alternatives: name -> what makes its value, newest release first. Only the value of
                the name that is taken is made.

        Raises:
            MissingPackageError: none of the names is taken.
        """
        names, is_open = keywords_of(function)
        for name, make in alternatives.items():
            if name in names:
                return {name: make()}
        if not is_open:
            self._refuse(function, " or ".join(alternatives), names)
        name, make = next(iter(alternatives.items()))
        return {name: make()}

    def _refuse(self, function: Callable[..., Any], what: str, names: set[str]) -> None:
        where = f"{function.__module__}.{function.__qualname__}"
        raise MissingPackageError(
            f"{where} of {PACKAGE} {self.version} takes no {what} (it takes "
            f"{', '.join(sorted(names)) or 'nothing by name'})",
            fix=FIX,
        )


def keywords_of(function: Callable[..., Any]) -> tuple[set[str], bool]:
    """Keywords that a function or class takes, and whether it takes others unseen (``**``).

    A class whose ``__init__`` hands ``**kwargs`` on is asked along its base classes, and a
    dataclass for its fields: DSA's metadata is a dataclass with an ``__init__(*args, **kwargs)``.
    """
    names, is_open = _own_keywords(function)
    if not inspect.isclass(function):
        return names, is_open
    if dataclasses.is_dataclass(function):
        names |= {field.name for field in dataclasses.fields(function) if field.init}
    for base in inspect.getmro(function)[1:-1]:
        if is_open and "__init__" in vars(base):
            more, is_open = _own_keywords(base)
            names |= more
    return names, is_open


def _own_keywords(function: Callable[..., Any]) -> tuple[set[str], bool]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # compiled bindings have no signature; they take what they take
        return set(), True
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {parameter.name for parameter in parameters if parameter.kind in by_name}
    return names, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:200] + "..."
