"""Sizes of a call, read from its arguments and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.align.explain.rules import Facts, Rulebook
from harness.align.observation import SideObservation
from harness.record.described import TensorFacts, leaves


def call_facts(mock: SideObservation, reference: SideObservation, book: Rulebook) -> Facts:
    """Of each quantity in ``[fields]``: ``mock_<name>``, ``reference_<name>``, ``<name>_factor``
    (mock / reference) and ``<name>_differs`` (1 or 0)."""
    if not mock.calls or not reference.calls:
        return {}
    ours, theirs = (dict(leaves(side.calls[0].arguments)) for side in (mock, reference))
    facts: dict[str, Any] = {}
    for name, places in book.fields.items():
        pair = _pair(ours, theirs, places)
        if pair is None:
            continue
        facts |= {f"mock_{name}": pair[0], f"reference_{name}": pair[1]}
        facts[f"{name}_differs"] = int(pair[0] != pair[1])
        if pair[1]:
            facts[f"{name}_factor"] = pair[0] / pair[1]
    pattern = book.words["cache argument"]
    lacking = [
        path
        for path in ours.keys() | theirs.keys()
        if pattern.search(path) and _is_none(ours, path) != _is_none(theirs, path)
    ]
    return facts | {"cache_arguments_of_one_side": len(lacking)}


def _is_none(leaves: Mapping[str, Any], path: str) -> bool:
    """Whether an argument is None or absent; what is inside an object does not count as absent."""
    inside = any(other.startswith(f"{path}.") for other in leaves)
    return not inside and leaves.get(path) is None


def _pair(
    mock: Mapping[str, Any], reference: Mapping[str, Any], places: Sequence[Mapping[str, Any]]
) -> tuple[int, int] | None:
    """The first place at which both have a number; one that differs before one that does not."""
    found = []
    for place in places:
        one, other = _read(mock, place), _read(reference, place)
        if one is not None and other is not None:
            found.append((one, other))
    return next((pair for pair in found if pair[0] != pair[1]), found[0] if found else None)


def _read(leaves: Mapping[str, Any], place: Mapping[str, Any]) -> int | None:
    name = place["field"]
    for path, value in leaves.items():
        if path != name and not path.endswith(f".{name}"):
            continue
        number = _number(value, place)
        if number is not None:
            return number
    return None


def _number(value: Any, place: Mapping[str, Any]) -> int | None:
    if isinstance(value, TensorFacts):
        if "dimension" in place:
            fits = len(value.shape) == place["rank"]
            return int(value.shape[place["dimension"]]) if fits else None
        most = value.most
        return most if isinstance(most, int) and place.get("value") == "most" else None
    plain = isinstance(value, int) and not isinstance(value, bool) and "dimension" not in place
    return value if plain else None
