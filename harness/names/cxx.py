"""The little C++ syntax that shortening a name needs: brackets, argument lists, components.

Nothing here fails: text that is not C++ comes back whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_CLOSES = {")": "(", ">": "<", "}": "{", "]": "["}
_OPERATOR = re.compile(r"operator ?(?:\(\)|\[\]|<=>|<<=?|>>=?|->\*?|<=?|>=?)")
_QUALIFIERS = re.compile(r"(?: const| volatile| &&?| \[clone [^\]]*\])+$")


@dataclass(frozen=True)
class Nesting:
    """The brackets of a text.

    Attributes:
        depth: how many brackets are open at each character, its own included.
        opener: position of a closing bracket -> position of the one that it closes.
    """

    depth: list[int]
    opener: dict[int, int]


@lru_cache(maxsize=1024)
def nesting(text: str) -> Nesting:
    """Match the brackets; those of ``operator()`` and ``operator<`` are part of the name."""
    depth: list[int] = []
    opener: dict[int, int] = {}
    stack: list[int] = []
    skip = 0
    for i, char in enumerate(text):
        if i < skip:
            depth.append(len(stack) + 1)  # keeps ``operator ()`` in one piece
            continue
        if char == "o" and (found := _OPERATOR.match(text, i)):
            skip = found.end()
            depth.append(len(stack) + 1)
            continue
        if char in "(<{[":
            stack.append(i)
            depth.append(len(stack))
            continue
        depth.append(len(stack))
        if char in ")>}]" and text[i - 1 : i + 1] != "->":
            _close(char, i, text, stack, opener)
    return Nesting(depth, opener)


def _close(char: str, at: int, text: str, stack: list[int], opener: dict[int, int]) -> None:
    wanted = _CLOSES[char]
    if char == ">":  # within parentheses it is the comparison of an expression
        if stack and text[stack[-1]] == "<":
            opener[at] = stack.pop()
        return
    for position in range(len(stack) - 1, -1, -1):
        if text[stack[position]] == wanted:
            opener[at] = stack[position]
            del stack[position:]
            return


def split(text: str, separator: str) -> list[str]:
    """Split at separators that are outside of all brackets; the parts are stripped."""
    depth = nesting(text).depth
    parts, start, i = [], 0, 0
    while (i := text.find(separator, i)) >= 0:
        if depth[i] == 0:
            parts.append(text[start:i].strip())
            start = i + len(separator)
        i += len(separator)
    parts.append(text[start:].strip())
    return parts


def strip_parameters(text: str) -> str:
    """Without the parameter list at the end and the qualifiers after it."""
    bare = _QUALIFIERS.sub("", text)
    start = nesting(bare).opener.get(len(bare) - 1, 0) if bare.endswith(")") else 0
    if start == 0 or bare[start - 1].isspace():
        return text
    return bare[:start]


def strip_return_type(text: str) -> str:
    """Without what stands before the last space outside of brackets."""
    depth = nesting(text).depth
    spaces = [i for i, char in enumerate(text) if char == " " and depth[i] == 0]
    return text[spaces[-1] + 1 :] or text if spaces else text


def split_template(text: str) -> tuple[str, str | None]:
    """``name<arguments>`` as (name, arguments); arguments None where there are none."""
    start = nesting(text).opener.get(len(text) - 1, 0) if text.endswith(">") else 0
    if start == 0:
        return text, None
    return text[:start].rstrip(), text[start + 1 : -1]
