"""Numbers as Nsight Compute prints them in the user's locale: which sign is the decimal one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SPACES = " \u00a0\u202f\u2009'\u2019"
"""Signs that only separate thousands: spaces of any width, and the apostrophe of Switzerland."""

_SHAPE = re.compile(rf"[+-]?\d[\d.,{SPACES}]*(?:[eE][+-]?\d+)?")
_DECIMAL_SIGNS = ".,"


@dataclass(frozen=True)
class NumberStyle:
    """How a file writes numbers.

    Attributes:
        decimal: ``.`` or ``,``; the other one separates thousands.
        sure: whether some number of the file can only be read so.
    """

    decimal: str
    sure: bool = True

    def parse(self, text: str) -> float | None:
        """The number; None where the text is none in this style (``nan``, ``n/a``, a name)."""
        thousands = "," if self.decimal == "." else "."
        plain = text.strip()
        if not _SHAPE.fullmatch(plain):
            return None
        whole, mark, rest = plain.partition(self.decimal)
        if thousands in rest or not _grouped(whole, thousands):
            return None
        for sign in (thousands, *SPACES):
            whole = whole.replace(sign, "")
        try:
            number = float(f"{whole}.{rest}" if mark else whole)
        except ValueError:
            return None
        return number if abs(number) != float("inf") else None


def _grouped(whole: str, thousands: str) -> bool:
    """Whether separators, if any, stand before every third digit."""
    digits = re.split(rf"[{thousands}{SPACES}]", whole.lstrip("+-"))
    return len(digits) == 1 or (
        1 <= len(digits[0]) <= 3 and all(len(group) == 3 for group in digits[1:])
    )


def number_style(texts: Iterable[str], delimiter: str = ",") -> NumberStyle:
    """The style that most of the numbers of a file prove.

    ``1,234.5``, ``1,234,567`` and ``0.25`` can be read in one way only; ``1,234`` in two.

    Args:
        texts: values of the file, numbers or not.
        delimiter: of the file's columns; where no number proves anything, files of semicolons
            are taken for those of a locale with a decimal comma.
    """
    votes = dict.fromkeys(_DECIMAL_SIGNS, 0)
    for text in texts:
        sign = _proved(text.strip())
        if sign:
            votes[sign] += 1
    if votes["."] == votes[","]:
        return NumberStyle("," if delimiter == ";" else ".", sure=False)
    return NumberStyle(max(votes, key=lambda sign: votes[sign]))


def _proved(text: str) -> str:
    """The decimal sign that this number proves; empty where it proves none."""
    if not _SHAPE.fullmatch(text):
        return ""
    body = re.split("[eE]", text.lstrip("+-"))[0]
    dots, commas = body.count("."), body.count(",")
    if dots and commas:
        return "." if body.rindex(".") > body.rindex(",") else ","
    if not dots and not commas:
        return ""
    sign, other = (".", ",") if dots else (",", ".")
    if dots + commas > 1:
        return other
    whole, _, rest = body.partition(sign)
    if len(rest) != 3 or len(whole) > 3 or whole == "0" or any(s in whole for s in SPACES):
        return sign
    return ""
