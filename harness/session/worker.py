"""In a worker process: a block around its target, and a log of what came of it."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

Raised = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class Worker:
    """The target of a process, inside a block of `align_op`.

    The exit code of the process is that of the target alone: a failure to compare is logged for the
    parent, whose block says it, and does not look like a failure of the collector.

    Args:
        target: of the process.
        settings: arguments of `align_op`.
        log: file to append events to; the parent reads it.
    """

    def __init__(self, target: Callable[..., Any], settings: Mapping[str, Any], log: Path) -> None:
        self._target, self._settings, self._log = target, settings, log

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._write("start", None)
        block = self._enter()
        if block is None:
            return self._target(*args, **kwargs)
        raised: Raised = (None, None, None)
        try:
            return self._target(*args, **kwargs)
        except BaseException as error:
            raised = (type(error), error, error.__traceback__)
            raise
        finally:
            self._leave(block, raised)

    def _enter(self) -> Any:
        """The block, entered; None where that fails, which the parent is told."""
        try:
            from harness.session.align_op import align_op

            block = align_op(**self._settings)
            block.__enter__().on_event = self._write
        except Exception as error:  # noqa: BLE001  the collector runs on, unaligned
            self._failed(f"its block was not entered: {type(error).__name__}: {error}")
            return None
        return block

    def _leave(self, block: Any, raised: Raised) -> None:
        reason = "" if raised[0] is None else f"it ended by {raised[0].__name__}"
        try:
            block.__exit__(*raised)
        except Exception as error:  # noqa: BLE001  whatever comparing raised is the parent's to say
            self._failed(f"comparing failed: {type(error).__name__}: {error}")
        else:
            self._write("end", (False, reason))

    def _failed(self, reason: str) -> None:
        sys.stderr.write(f"harness: {reason}\n")
        self._write("end", (True, reason))

    def _write(self, kind: str, value: Any) -> None:
        # The folder is gone when the parent's block has ended, which has said that this still ran.
        with suppress(FileNotFoundError), self._log.open("ab") as file:
            pickle.dump((kind, value), file)
