"""The catalogue: operators and framework adapters, built in and from entry points."""

from __future__ import annotations

import functools
from importlib.metadata import entry_points

from harness.errors import InputError, MissingPackageError
from harness.plugins import load_plugin, plugin_names
from ops.attention import ATTENTION
from ops.dsa import DSA, DSA_KERNELS
from ops.spec import Availability, FrameworkAdapter, OpSpec

OPS_GROUP = "harness.ops"
FRAMEWORKS_GROUP = "harness.frameworks"
BUILT_IN_OPS = (DSA, DSA_KERNELS, ATTENTION)
# in the order in which ``auto`` tries them
BUILT_IN_ADAPTERS = {
    "tensorrt_llm": "ops.adapters.tensorrt_llm:TensorrtLlmAdapter",
    "vllm": "ops.adapters.vllm:VllmAdapter",
    "transformers": "ops.adapters.transformers:TransformersAdapter",
}


@functools.cache
def operators() -> dict[str, OpSpec]:
    """Every operator by name: the built-in ones, then those of other packages.

    Raises:
        InputError: another package's entry point is not an `OpSpec`, or takes a name that is used.
    """
    found = {op.name: op for op in BUILT_IN_OPS}
    for entry in entry_points(group=OPS_GROUP):
        op = entry.load()
        if not isinstance(op, OpSpec) or op.name in found:
            raise InputError(
                f"entry point {entry.name} of {OPS_GROUP} ({entry.value}) is "
                + ("a name that is taken" if isinstance(op, OpSpec) else "not an OpSpec"),
                fix="mend or uninstall the package that declares it",
            )
        found[op.name] = op
    return found


def operator(name: str) -> OpSpec:
    """The operator of this name.

    Raises:
        InputError: there is none; the message lists those that there are.
    """
    known = operators()
    if name not in known:
        raise InputError(f"unknown operator {name!r}", fix=f"use one of {', '.join(known)}")
    return known[name]


@functools.cache
def adapter(name: str) -> FrameworkAdapter:
    """The adapter of this framework.

    Raises:
        InputError: no adapter has this name.
    """
    found = load_plugin(name, FRAMEWORKS_GROUP, BUILT_IN_ADAPTERS)
    if found is None:
        raise InputError(
            f"unknown framework {name!r}", fix=f"use auto or one of {', '.join(framework_names())}"
        )
    made: FrameworkAdapter = found()
    return made


def framework_names() -> list[str]:
    """Names of all adapters, in the order in which ``auto`` tries them."""
    return plugin_names(FRAMEWORKS_GROUP, BUILT_IN_ADAPTERS)


def choose_framework(op: OpSpec, wanted: str) -> tuple[FrameworkAdapter, str]:
    """The adapter to use and why.

    Args:
        op: the operator; only frameworks that can build it are tried.
        wanted: a framework's name, or ``auto`` for the first that can run here.

    Raises:
        MissingPackageError: the wanted framework, or every one, is not installed.
        InputError: it is unknown, cannot build ``op``, or cannot run on this machine.
    """
    if wanted != "auto":
        return _named(op, wanted)
    passed_over: list[str] = []
    for name in framework_names():
        if not _may_build(op, name):
            continue
        state = adapter(name).availability(op)
        if state.ok:
            why = f"first that can run here ({state.reason})"
            return adapter(name), why + "".join(f"; {text}" for text in passed_over)
        named = state.reason.startswith(name)
        passed_over.append(state.reason if named else f"{name}: {state.reason}")
    raise MissingPackageError(
        f"no framework can run {op.name} here ({'; '.join(passed_over)})",
        fix="install one, for example with: pip install 'transformers>=5.17'"
        if "transformers" in op.frameworks
        else f"install one of {', '.join(op.frameworks)} on a machine with an NVIDIA GPU",
    )


def _may_build(op: OpSpec, framework: str) -> bool:
    """Whether to ask an adapter at all; adapters of other packages know best what they build."""
    return framework in op.frameworks or framework not in BUILT_IN_ADAPTERS


def _named(op: OpSpec, wanted: str) -> tuple[FrameworkAdapter, str]:
    found = adapter(wanted)
    if not _may_build(op, wanted):
        raise InputError(
            f"{op.name} cannot be built with {wanted}", fix=f"use {', '.join(op.frameworks)}"
        )
    state: Availability = found.availability(op)
    if not state.ok:
        kind = MissingPackageError if state.missing_package else InputError
        raise kind(f"{wanted} cannot run here: {state.reason}", fix=state.fix)
    return found, f"asked for ({state.reason})"
