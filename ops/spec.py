"""What the catalogue knows of an operator, and what a framework adapter has to offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness.errors import InputError
from ops.case import Case
from ops.sides import Sides


@dataclass(frozen=True)
class Availability:
    """Whether something can run here, and if not why and what to do.

    Attributes:
        ok: it can run.
        reason: why (not), as a phrase ("vllm 0.26.0", "vllm is not installed").
        fix: what to do when it cannot.
        missing_package: the reason is a package that is absent or too old.
    """

    ok: bool
    reason: str
    fix: str = ""
    missing_package: bool = False


@dataclass(frozen=True)
class Differences:
    """How to build a mock that differs on purpose; nothing by default.

    Used to prove that the checks find what they must find, and to ask "what if".

    Attributes:
        config: model configuration values of the mock alone ({"index_topk": 1024}).
        case: fields of the case for the mock alone ({"dtype": "float32"}).
        share_weights: False gives the mock weights of its own.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    case: Mapping[str, Any] = field(default_factory=dict)
    share_weights: bool = True


@dataclass(frozen=True)
class OpSpec:
    """One operator of the catalogue.

    Attributes:
        name: what users type after ``--op``.
        title: one line for people.
        model: the published model whose dimensions are used.
        dimensions: the configuration values that fix the operator's shapes, by the names of the
            model's published ``config.json``.
        submodule: path of the operator inside a decoder layer.
        heads: key of `dimensions` that is divided by ``--tp``.
        kernel_patterns: regular expressions, matched against the raw kernel name, of kernels that
            only this operator launches, by what they do.
        frameworks: adapters that can build it; none, with no `dimensions`, for an operator that is
            only located in Traces.
        mock: which mock an adapter builds: ``module`` (the framework's own submodule, standalone)
            or the name of another builder of the adapter.
        reduced_dimensions: `dimensions` to shrink for outputs that are really computed on a CPU.
        reduced_tokens: KV length of that CPU run; large enough that nothing degenerates.
        recipes: per framework what its adapter has to know to build it (class names and the like).
    """

    name: str
    title: str
    model: str
    dimensions: Mapping[str, Any]
    submodule: str
    heads: str
    kernel_patterns: Mapping[str, str]
    frameworks: tuple[str, ...]
    mock: str = "module"
    reduced_dimensions: Mapping[str, Any] = field(default_factory=dict)
    reduced_tokens: int = 128
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def local_heads(self, tp: int) -> int:
        """Heads on one rank.

        Raises:
            InputError: ``tp`` does not divide the heads, or the operator has no dimensions.
        """
        if self.heads not in self.dimensions:
            raise InputError(
                f"{self.name} cannot be built: it is known by the names of its kernels only",
                fix="use it with python -m harness.locate, or choose another --op",
            )
        heads = int(self.dimensions[self.heads])
        if tp < 1 or heads % tp:
            divisors = ", ".join(str(d) for d in range(1, heads + 1) if heads % d == 0)
            raise InputError(
                f"--tp {tp} does not divide the {heads} heads of {self.model}",
                fix=f"use one of {divisors}",
            )
        return heads // tp

    def validate(self, case: Case) -> None:
        """Whether the model has such a case.

        Raises:
            InputError: tp does not divide the heads, or the KV length is beyond the model's.
        """
        self.local_heads(case.tp)
        longest = self.dimensions.get("max_position_embeddings")
        if longest is not None and case.kv_len > longest:
            raise InputError(
                f"kv_len {case.kv_len} is beyond the {longest} positions of {self.model}",
                fix="lower --kv-len",
            )

    def reduce_for_cpu(self, case: Case) -> tuple[OpSpec, Case, str]:
        """The operator and the case at a size that a CPU computes in seconds.

        Returns:
            The operator with `reduced_dimensions`, the case with at most two requests and a KV
            length of `reduced_tokens`, and a phrase that says what was reduced.
        """
        kv_len = self.reduced_tokens
        new = 1 if case.phase == "generation" else max(1, kv_len * case.seq_len // case.kv_len)
        batch = min(case.batch_size, 2)
        small = replace(case, batch_size=batch, seq_len=new, kv_len=kv_len)
        smaller = replace(self, dimensions={**self.dimensions, **self.reduced_dimensions})
        changed = [
            f"{key} {self.dimensions[key]} -> {value}"
            for key, value in self.reduced_dimensions.items()
        ]
        sizes = f"batch {case.batch_size} -> {batch}, new tokens {case.seq_len} -> {new}"
        text = f"{sizes}, KV length {case.kv_len} -> {kv_len}, " + ", ".join(changed)
        return smaller, small, text.rstrip(", ")


class FrameworkAdapter(Protocol):
    """Builds both sides of a case with one framework; the only place that imports it."""

    name: str

    def availability(self, op: OpSpec) -> Availability:
        """Whether the framework is installed and can run ``op`` on this machine. Cheap."""
        ...

    def versions(self) -> dict[str, str]:
        """Versions of the framework and of the packages it takes its kernels from."""
        ...

    def build(
        self, op: OpSpec, case: Case, device: str, differences: Differences = Differences()
    ) -> Sides:
        """Build both sides.

        Args:
            op: the operator.
            case: its size.
            device: ``cuda`` (or ``cuda:N``), ``cpu`` or ``meta``.
            differences: how the mock is to differ; by default not at all.

        Raises:
            MissingPackageError: the framework or a part of it is not installed.
            MissingDeviceError: it cannot run on ``device``.
            InputError: it cannot build this case.
        """
        ...
