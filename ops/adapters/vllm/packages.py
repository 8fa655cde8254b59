"""Which packages the adapter needs, whether they are there, and how they are imported."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from types import ModuleType

from harness.errors import MissingPackageError

RELEASE = "0.26"
"""The vLLM release whose internals this adapter drives; they move with every release."""

PIP = "pip install 'vllm==0.26.0'"
PIP_TRTLLM_KERNEL = "pip install 'tokenspeed_trtllm_kernel==1.2.1.post20260427'"
GUIDED_DECODING = ("llguidance", "xgrammar")
"""Packages that the model runner's imports name in annotations and that nothing here calls."""


def installed(package: str) -> bool:
    """Whether ``package`` can be found, without importing it."""
    return package in sys.modules or importlib.util.find_spec(package) is not None


def vllm_version() -> str:
    """The installed version of vLLM, or ``unknown`` where its metadata is absent.

    Raises:
        MissingPackageError: vLLM is not installed.
    """
    if not installed("vllm"):
        raise MissingPackageError("vllm is not installed", fix=f"run {PIP}")
    try:
        return version("vllm")
    except PackageNotFoundError:
        return "unknown"


def distribution_version(package: str) -> str:
    """Version of the distribution that provides the module ``package``; empty without one."""
    for name in packages_distributions().get(package, []):
        return version(name)
    return ""


def require_vllm() -> None:
    """Import vLLM quietly.

    Its loggers default to WARNING; a level in the environment wins.

    Raises:
        MissingPackageError: it, or something that its import needs, is not installed.
    """
    found = vllm_version()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    # standard output belongs to the report, or to the JSON that somebody parses
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    try:
        with stand_ins():
            import_module("vllm.engine.arg_utils")
            import_module("vllm.v1.worker.gpu_model_runner")
    except ImportError as error:
        raise MissingPackageError(
            f"vllm {found} cannot be imported: {error}", fix=f"run {PIP}"
        ) from error


def require_trtllm_kernel() -> None:
    """Import ``trtllm_kernel``, which registers ``torch.ops.trtllm.*``.

    Raises:
        MissingPackageError: it is not installed or cannot be loaded.
    """
    try:
        import_module("trtllm_kernel")
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"trtllm_kernel >= 1.2.1 cannot be imported: {error}",
            fix=f"run {PIP_TRTLLM_KERNEL} (it also needs libnuma.so.1)",
        ) from error


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


def absent_guided_decoding() -> tuple[str, ...]:
    """The packages of `GUIDED_DECODING` that are not installed."""
    return tuple(name for name in GUIDED_DECODING if not installed(name))


@contextmanager
def stand_ins() -> Iterator[tuple[str, ...]]:
    """Let imports of absent guided-decoding packages succeed while the block runs.

    vLLM's scheduler types import them for class annotations only; no grammar is ever compiled
    here. Afterwards ``sys.modules`` holds none of the stand-ins.

    Yields:
        The names that are stood in for.
    """
    names = absent_guided_decoding()
    made = [_StandIn(name) for name in names]
    sys.modules.update(zip(names, made, strict=True))
    try:
        yield names
    finally:
        for name, module in list(sys.modules.items()):
            if any(module is one for one in made):
                del sys.modules[name]
