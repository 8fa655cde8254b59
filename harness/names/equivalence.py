"""Names that may be declared equal.

Nothing here is part of a kernel's identity: a caller that uses a class has to show what it changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.errors import InputError

Applied = dict[str, dict[str, str]]
"""Class name -> the names that it changed and what they became."""


@dataclass(frozen=True)
class EquivalenceClass:
    """Names that count as one after a replacement.

    Attributes:
        name: how reports call it.
        pattern: regular expression, replaced wherever it is found in a raw name.
        replacement: what takes its place, with ``\\1`` for groups.
        reason: why names that differ only in this are the same kernel.

    Raises:
        InputError: ``pattern`` or ``replacement`` is malformed.
    """

    name: str
    pattern: str
    replacement: str
    reason: str

    def __post_init__(self) -> None:
        try:
            # A template is only parsed when something matches, so one that always does.
            re.sub(f"{self.pattern}|$", self.replacement, "")
        except (re.error, IndexError) as error:
            raise InputError(
                f"equivalence class {self.name!r} has a malformed pattern or replacement ({error})",
                fix="give a regular expression and a replacement as for Python's re.sub",
            ) from error

    def canonical(self, key: str) -> str:
        """The name that stands for all that this class makes equal."""
        return re.sub(self.pattern, self.replacement, key)


# nvcc names an anonymous namespace _GLOBAL__N__<hash>_<length>_<file>_<hash>[_<process id>]. Only
# the length in front of a mangled identifier says where it ends (digits may follow), so there is
# one alternative per length; 12 of it are "_GLOBAL__N__".
_ANONYMOUS = "|".join(rf"{length}_GLOBAL__N__\w{{{length - 12}}}" for length in range(13, 256))

SHIPPED = (
    EquivalenceClass(
        "inductor-counter",
        r"^(triton_\w*[a-z]\w*?)_\d+$",
        r"\1",
        "TorchInductor numbers its kernels in the order in which a graph is compiled",
    ),
    EquivalenceClass(
        "triton-specialisation",
        r"^(\w+?)_(?=\w*[dc])0(?:de|d|c)?(?:\d+(?:de|d|c)?)*$",
        r"\1",
        "Triton 2 appends which arguments are divisible by 16 (d) or equal to 1 (c)",
    ),
    EquivalenceClass(
        "anonymous-namespace",
        rf"(?<!\d)(?:{_ANONYMOUS})",
        "12_GLOBAL__N_1",
        "nvcc puts a hash of the build into the name of an anonymous namespace",
    ),
)
"""Classes that a user may switch on by name; none is applied unless asked for."""


def apply(keys: Sequence[str], classes: Iterable[EquivalenceClass]) -> tuple[list[str], Applied]:
    """Replace each name by the one that stands for its class.

    Returns:
        The names in the same order, and per class that changed something what it changed.
    """
    current = {key: key for key in keys}
    applied: Applied = {}
    for declared in classes:
        for key, before in current.items():
            after = declared.canonical(before)
            if after != before:
                current[key] = after
                applied.setdefault(declared.name, {})[key] = after
    return [current[key] for key in keys], applied
