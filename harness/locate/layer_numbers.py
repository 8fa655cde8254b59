"""The number of a layer in the name of a region."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])")
_OF_LAYER = re.compile(r"(?<![A-Za-z0-9])(?:layers?|blocks?|h)[._ ]?(\d+)(?![A-Za-z0-9])")


def layer_number(region: str) -> int | None:
    """The number in ``layers.0.self_attn``; None where there is none, or several of no layer."""
    named = _OF_LAYER.search(region)
    numbers = [named[1]] if named else _NUMBER.findall(region)
    return int(numbers[0]) if len(numbers) == 1 else None


def repeats(regions: list[str]) -> tuple[int, ...] | None:
    """Places at which the number of a layer comes again, which begins another step.

    None where a region has no number, or none comes again.

    Args:
        regions: names of the regions of the occurrences, in the order of their starts.
    """
    seen: set[int] = set()
    bounds = []
    for place, region in enumerate(regions):
        number = layer_number(region)
        if number is None:
            return None
        if number in seen:
            bounds.append(place)
            seen = set()
        seen.add(number)
    return tuple(bounds) or None
