"""The context manager and decorator ``align_op``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from harness.compare.cases import make_case
from harness.compare.tolerance import parse_tolerance
from harness.errors import InputError
from harness.measure.hooks import BenchmarkCall, add_listener, remove_listener
from harness.session.entries import Entry, side_of
from harness.session.evaluate import check_recorder, evaluate
from harness.session.results import AlignmentSession
from ops.case import Case, Phase
from ops.registry import adapter, operator

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
        if framework != "auto":
            adapter(framework)
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
        self.reference = reference
        self._case_of = case
        self._open: list[AlignmentSession] = []
        self.case = self._make_case(self.given)  # a wrong size shows before the block runs

    def __enter__(self) -> AlignmentSession:
        check_recorder(self.recorder)  # so does a recorder that cannot run
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
        try:
            if exc_type is None:
                evaluate(session, self)
        finally:
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
        session = self._open[-1]
        label = f"benchmark_with_power call {len(session.entries) + 1}"
        mock = side_of("mock", call.kernel_func, None, None, label)
        case = self.case if self._case_of is None else self._read_off(call)
        session.entries.append(Entry(mock, case=case, label=label, device=call.device))

    def _read_off(self, call: BenchmarkCall) -> Case | None:
        """The case that the user's ``case=`` reads off a call."""
        assert self._case_of is not None
        found = self._case_of(call)
        if not isinstance(found, Mapping):
            raise InputError(
                f"case= returned {type(found).__name__}",
                fix=f"return a mapping with any of {', '.join(self.given)}",
            )
        return self._make_case(self.given | dict(found))

    def _make_case(self, given: Mapping[str, Any]) -> Case | None:
        """The case, where at least one size is known; what is given is checked in any case."""
        unknown = set(given) - set(self.given)
        if unknown:
            raise InputError(
                f"case= returned {', '.join(sorted(unknown))}",
                fix=f"return only {', '.join(self.given)}",
            )
        made = make_case(self.op.name, "", given)
        self.op.validate(made)
        return None if all(given[name] is None for name in SIZES) else made
