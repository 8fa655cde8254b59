"""The context manager and decorator ``align_op``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar, get_args

from harness.compare.tolerance import parse_tolerance
from harness.errors import InputError
from harness.measure.hooks import BenchmarkCall, add_listener, remove_listener
from harness.session.entries import Entry, side_of
from harness.session.evaluate import check_recorder, evaluate
from harness.session.given import Given, ReadCase
from harness.session.outcome import Outcome
from harness.session.patch import patched
from harness.session.results import AlignmentSession
from harness.session.substitutes import substitute
from harness.session.workers import Workers
from ops.case import Phase
from ops.registry import adapter, operator

P = ParamSpec("P")
R = TypeVar("R")
When = Literal["end", "each"]


class align_op:  # noqa: N801  a context manager named like a verb, as in torch
    """Compare the operators that a block benchmarks with the real model's.

    ``with align_op("dsa", tp=8) as alignment:`` collects pairs, named by ``alignment.mock`` and
    ``alignment.reference`` or by calls of ``benchmark_with_power`` (a mock each), and compares
    them when the block ends: first all are timed, then all are recorded. An exception inside the
    block passes through and nothing more is compared; ``sys.exit`` is no failure, and what was
    collected is compared first. As a decorator it does the same around each call of the function;
    the session of the last call is the attribute ``alignment`` of the function. Blocks nest; a
    benchmark belongs to the innermost.

    With ``patch=`` a collector needs no edit: inside the block its own ``benchmark_with_power`` is
    this one, in the named modules, wherever it was imported to, and in worker processes that are
    started inside the block and joined there. Its ``log_perf`` writes what it always does; beside
    each file that it writes to lies a sidecar (`harness.session.sidecar`).

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
        patch: module or modules whose ``benchmark_with_power`` is to be this one
            (``"collector.helper"``); imported if they are not yet.
        compare: ``"end"`` holds every callable, and what it keeps on the device, until the block
            ends. ``"each"`` compares a call before its body starts, lets go of it, and makes
            ``kernels`` known there; later calls are then timed after tracing, which their
            ``notes`` and the ``conditions`` check say.

    Raises:
        InputError: the operator, a size, the tolerance, ``compare`` or, when the block is entered,
            a module of ``patch`` is wrong.
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
        case: ReadCase | None = None,
        reference: Callable[[], Any] | None = None,
        framework: str = "auto",
        recorder: str = "auto",
        tolerance: float | str = 0.01,
        patch: str | Sequence[str] = (),
        compare: When = "end",
    ) -> None:
        self.op = operator(op)
        if framework != "auto":
            adapter(framework)
        if compare not in get_args(When):
            raise InputError(f"compare is {compare!r}", fix="use 'end' or 'each'")
        self.framework = framework
        self.recorder = recorder
        self.tolerance = parse_tolerance(str(tolerance))
        self.reference = reference
        self.patch = (patch,) if isinstance(patch, str) else tuple(patch)
        self.compare: When = compare
        sizes = {
            "tp": tp,
            "phase": phase,
            "batch_size": batch_size,
            "seq_len": seq_len,
            "kv_len": kv_len,
            "dtype": dtype,
        }
        self.given = Given(self.op, sizes, case)  # a wrong size shows before the block runs
        self._settings = {
            **sizes,
            "op": op,
            "case": case,
            "reference": reference,
            "framework": framework,
            "recorder": recorder,
            "tolerance": tolerance,
            "patch": self.patch,
            "compare": compare,
        }
        self._open: list[_Block] = []

    def __enter__(self) -> AlignmentSession:
        check_recorder(self.recorder)  # so does a recorder that cannot run
        block = _Block(AlignmentSession(self.op.name))
        with ExitStack() as entered:
            if self.patch:
                block.workers = Workers(self._settings)
                entered.enter_context(
                    patched(self.patch, substitute(block.session.sidecar.written))
                )
                entered.enter_context(block.workers.watched())
            add_listener(self._benchmarked)
            entered.callback(remove_listener, self._benchmarked)
            block.entered = entered.pop_all()
        if self.compare == "each":
            block.session.on_pair = self._compare_now
        self._open.append(block)
        return block.session

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block = self._open.pop()
        session, reason = block.session, ""
        block.entered.close()
        try:
            if exc_type is None or issubclass(exc_type, SystemExit):
                evaluate(session, session.entries, self)
            else:
                reason = f"the block ended by {exc_type.__name__}"
        except BaseException as error:
            reason = f"comparing failed: {error}"
            raise
        finally:
            session.entries.clear()  # frees what the callables hold on the device
            session.finished = True
            if block.workers:
                session.hear(block.workers.reports())
            session.sidecar.flush(reason)

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
        session = self._open[-1].session
        label = f"benchmark_with_power call {len(session.results) + len(session.entries) + 1}"
        entry = Entry(
            side_of("mock", call.kernel_func, None, None, label),
            case=self.given.of(call),
            label=label,
            device=call.device,
            outcome=Outcome(call.result),
        )
        session.benchmarked(entry)
        if self.compare == "each":
            self._compare_now(entry)

    def _compare_now(self, entry: Entry) -> None:
        session = self._open[-1].session
        try:
            evaluate(session, [entry], self)
        finally:
            session.let_go(entry)


@dataclass(eq=False)
class _Block:
    """One entering of an `align_op`: it can be entered again inside itself, as a decorator."""

    session: AlignmentSession
    workers: Workers | None = None
    entered: ExitStack = field(default_factory=ExitStack)
