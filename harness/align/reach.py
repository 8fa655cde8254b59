"""Declared kernels that are too much of a list to leave a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from harness.align.declaration import Declaration

MOST = 0.5
"""Share of the different names of a side that may be declared. Beyond it the rest is no longer the
operator, and with all of them nothing would be left to compare."""


def too_wide(
    declared: Sequence[Declaration], mock: set[str], reference: set[str]
) -> dict[str, str]:
    """Declarations of kernels that name more than `MOST` of a side's kernels, alone or together.

    A declaration of times has a bound of its own and may name any kernel.

    Args:
        declared: those that hold.
        mock, reference: different names of each list.

    Returns:
        Name of a declaration -> why it covers nothing.
    """
    sides = {"mock": mock, "reference": reference}
    of_kernels = [one for one in declared if one.is_presence or one.check == "launch"]
    found = {}
    for one in of_kernels:
        if text := _excess([one], sides):
            found[one.name] = f"it finds {text}"
    rest = [one for one in of_kernels if one.name not in found]
    if text := _excess(rest, sides):
        found |= {one.name: f"all declarations of kernels together find {text}" for one in rest}
    return found


def _excess(declared: Sequence[Declaration], sides: dict[str, set[str]]) -> str:
    for side, names in sides.items():
        count = sum(any(one.finds(name) for one in declared) for name in names)
        if count > MOST * len(names):
            return (
                f"{count} of the {len(names)} different names of the {side}: name only the kernels "
                "that differ"
            )
    return ""
