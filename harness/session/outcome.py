"""What became of a benchmark call: its result and, once it has been compared, the alignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.align.model import Alignment


@dataclass(eq=False)
class Outcome:
    """One benchmark call; unlike an `Entry` it holds nothing that lies on the device.

    Attributes:
        result: what ``benchmark_with_power`` yielded.
        alignment: None until the call has been compared.
    """

    result: dict[str, Any]
    alignment: Alignment | None = None

    def settle(self, alignment: Alignment) -> None:
        """Keep the comparison, and put the kernels into the result."""
        self.alignment = alignment
        self.result["kernels"] = launched(alignment)


def launched(alignment: Alignment) -> list[dict[str, Any]]:
    """What the mock launches in one forward, in order: its graph's replay, else an eager call.

    Returns:
        The activities as in the evidence (``name``, ``identity``, ``display``, ``kind``, ...).
    """
    mock: Mapping[str, Any] = alignment.sides.get("mock", {})
    recorded = mock.get("replay") or mock.get("eager") or {}
    return list(recorded.get("activities", []))


def counted(activities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Different names in the order of their first launch, with ``count`` and ``kind`` of each."""
    found: dict[str, dict[str, Any]] = {}
    for one in activities:
        entry = {"name": one["identity"], "display": one["display"], "kind": one["kind"]}
        found.setdefault(one["identity"], {**entry, "count": 0})["count"] += 1
    return list(found.values())
