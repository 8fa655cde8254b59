"""The context manager and decorator ``align_op``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from harness.compare.tolerance import parse_tolerance
from harness.errors import InputError
from harness.measure.hooks import BenchmarkCall, add_listener, remove_listener
from harness.session.entries import Entry, side_of
from harness.session.evaluate import evaluate
from harness.session.results import AlignmentSession
from ops.case import Case, Phase, resolve_sizes
from ops.registry import operator

P = ParamSpec("P")
R = TypeVar("R")

SIZES = ("batch_size", "seq_len", "kv_len")


class align_op:  # noqa: N801  a context manager named like a verb, as in torch
    """Compare the operators that a block benchmarks with the real model's.

    ``with align_op("dsa", tp=8) as alignment:`` collects pairs, named by ``alignment.mock`` and
    ``alignment.reference`` or by calls of ``benchmark_with_power`` (a mock each), and compares
    them when the block ends: first all are timed, then all are recorded. An exception inside the
    block passes through and nothing is compared. As a decorator it does the same around each call
    of the function; the session of the last call is the attribute ``alignment`` of the function.
    Blocks nest; a benchmark belongs to the innermost.

    Args:
        op: operator of the catalogue.
        tp, phase, batch_size, seq_len, kv_len, dtype: the case, as on the command line. Given at
            least one size, the operator builds the reference of benchmarked calls.
        case: called with each `BenchmarkCall`, returns a mapping of the same names that replaces
            what was given here.
        reference: the reference of every benchmarked call, instead of one that the operator
            builds.
        framework, recorder: as on the command line.
        tolerance: of the latency ratio, as a fraction or as ``"1%"``.

    Raises:
        InputError: the operator, a size or the tolerance is wrong.
    """

    def __init__(
        self,
        op: str,
        *,
        tp: int = 1,
        phase: Phase = "context",
        batch_size: int | None = None,
        seq_len: int | None = None,
        kv_len: int | None = None,
        dtype: str = "bfloat16",
        case: Callable[[BenchmarkCall], Mapping[str, Any]] | None = None,
        reference: Callable[[], Any] | None = None,
        framework: str = "auto",
        recorder: str = "auto",
        tolerance: float | str = 0.01,
    ) -> None:
        self.op = operator(op)
        self.op.local_heads(tp)
        self.framework = framework
        self.recorder = recorder
        self.tolerance = parse_tolerance(str(tolerance))
        self.given: dict[str, Any] = {
            "tp": tp,
            "phase": phase,
            "batch_size": batch_size,
            "seq_len": seq_len,
            "kv_len": kv_len,
            "dtype": dtype,
        }
        self._case_of = case
        self._reference = reference
        self._open: list[AlignmentSession] = []
        self._make_case(self.given)  # a wrong size should show before the block runs

    def __enter__(self) -> AlignmentSession:
        session = AlignmentSession(self.op.name)
        self._open.append(session)
        add_listener(self._benchmarked)
        return session

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        remove_listener(self._benchmarked)
        session = self._open.pop()
        if exc_type is None:
            evaluate(session, self)
        session.entries.clear()  # frees what the callables hold on the device
        session.finished = True

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``function``: each call is a block of its own."""

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with self as session:
                wrapper.alignment = session  # type: ignore[attr-defined]
                return function(*args, **kwargs)

        return wrapper

    def _benchmarked(self, call: BenchmarkCall) -> None:
        """A benchmark_with_power call inside the block: a mock."""
        number = len(self._open[-1].entries) + 1
        label = f"benchmark_with_power call {number}"
        mock = side_of("mock", call.kernel_func, None, None, label)
        given = dict(self.given)
        if self._case_of is not None:
            given |= self._case_of(call)
        entry = Entry(mock, case=self._make_case(given), label=label)
        if self._reference is not None:
            text = "callable given to align_op(reference=)"
            entry.reference = side_of("reference", self._reference, None, None, text)
        self._open[-1].entries.append(entry)

    def _make_case(self, given: Mapping[str, Any]) -> Case | None:
        """The case, where at least one size is known."""
        unknown = set(given) - set(self.given)
        if unknown:
            raise InputError(
                f"case= returned {', '.join(sorted(unknown))}",
                fix=f"return only {', '.join(self.given)}",
            )
        if all(given[name] is None for name in SIZES):
            return None
        seq_len, kv_len = resolve_sizes(given["phase"], given["seq_len"], given["kv_len"])
        return Case(
            self.op.name,
            given["phase"],
            given["tp"],
            given["batch_size"] or 1,
            seq_len,
            kv_len,
            given["dtype"],
        )
