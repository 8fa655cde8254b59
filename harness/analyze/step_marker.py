"""Steps that end with a certain kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.names.demangle import demangle

_WORD = re.compile(r"\w+")


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether the name of a kernel matches, case ignored.

    ``%`` and ``*`` stand for any text, ``?`` for one character, everything else for itself (``_``
    too, since names are full of it). With one of these, the pattern has to fit the whole name, raw
    or demangled, or one word of the demangled name: ``argmax%`` finds
    ``reduce_kernel<512, ArgMaxOps<float>>``. Without, it is looked for anywhere in the demangled
    name, or is the raw one.
    """
    special = {"%": ".*", "*": ".*", "?": "."}
    text = "".join(special.get(char) or re.escape(char) for char in pattern)
    rule = re.compile(text, re.IGNORECASE | re.DOTALL)
    if not set(pattern) & set(special):
        return lambda name: name == pattern or bool(rule.search(demangle(name)))

    def fits(name: str) -> bool:
        shown = demangle(name)
        return any(rule.fullmatch(one) for one in (name, shown, *_WORD.findall(shown)))

    return fits


def steps_by_marker(is_marker: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The number of the step of each kernel, in the order of the kernels' starts.

    A step ends with the marker; of markers that follow each other directly, with the last one.

    Args:
        is_marker: shape (n,), one at least.
    """
    ends = is_marker.copy()
    ends[:-1] &= ~is_marker[1:]
    numbers: npt.NDArray[np.int64] = np.cumsum(ends, dtype=np.int64) - ends
    return numbers


def matching(texts: Sequence[str], codes: npt.NDArray[Any], pattern: str) -> npt.NDArray[np.bool_]:
    """Which kernels match a pattern; names as numbers ``codes`` into ``texts``."""
    fits = matcher(pattern)
    found = np.array([fits(text) for text in texts], np.bool_)
    chosen: npt.NDArray[np.bool_] = found[codes]
    return chosen
