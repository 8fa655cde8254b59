"""The case of a session: sizes given to ``align_op``, or read off each benchmark call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.compare.cases import make_case
from harness.errors import InputError
from harness.measure.hooks import BenchmarkCall
from ops.case import Case
from ops.spec import OpSpec

SIZES = ("batch_size", "seq_len", "kv_len")

ReadCase = Callable[[BenchmarkCall], Mapping[str, Any]]


class Given:
    """Sizes by name, and what replaces them per call.

    Args:
        op: operator of the catalogue; every case is checked against its model.
        sizes: ``tp``, ``phase``, ``batch_size``, ``seq_len``, ``kv_len``, ``dtype``.
        read: the user's ``case=``, or None.

    Attributes:
        case: what the sizes alone make; None where neither batch nor lengths are known.

    Raises:
        InputError: a size is wrong.
    """

    def __init__(self, op: OpSpec, sizes: Mapping[str, Any], read: ReadCase | None) -> None:
        self.sizes = dict(sizes)
        self._op, self._read = op, read
        self.case = self._make(self.sizes)

    def of(self, call: BenchmarkCall) -> Case | None:
        """The case of a benchmark call.

        Raises:
            InputError: ``case=`` returned no mapping, or sizes that are wrong or unknown.
        """
        if self._read is None:
            return self.case
        found = self._read(call)
        if not isinstance(found, Mapping):
            raise InputError(
                f"case= returned {type(found).__name__}",
                fix=f"return a mapping with any of {', '.join(self.sizes)}",
            )
        unknown = set(found) - set(self.sizes)
        if unknown:
            raise InputError(
                f"case= returned {', '.join(sorted(unknown))}",
                fix=f"return only {', '.join(self.sizes)}",
            )
        return self._make({**self.sizes, **found})

    def _make(self, sizes: Mapping[str, Any]) -> Case | None:
        made = make_case(self._op.name, "", sizes)
        self._op.validate(made)
        return None if all(sizes[name] is None for name in SIZES) else made
