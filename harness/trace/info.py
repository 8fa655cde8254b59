"""What is known about a recording beside its rows: source, versions, completeness."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import TraceFormatError

MACHINE_NUMBERS = "devices are numbered as the machine's GPUs, not as processes see them"
"""The note of a Trace in which one device number is one GPU, whichever process uses it."""


@dataclass(frozen=True)
class TraceInfo:
    """Facts about one recording.

    Attributes:
        source: recorder or file format (``cupti``, ``kineto``, ``dispatch``, ``nsys``, ...).
        chosen_because: why that source was used, as a sentence for the reader.
        created: ISO 8601 time in UTC at which recording ended.
        versions: package, driver and library versions by name.
        gpu: name, uuid, compute capability and the like; empty without a GPU.
        dropped_records: activity records the recorder lost; None where it cannot tell.
        unattributed: activities that no API call of this recording launched.
        perturbation: measured cost of tracing, by figure name (units in the name).
        incomplete: why the Trace must not be trusted to hold everything; empty when complete.
        notes: further facts that a reader of the Trace should see.
    """

    source: str
    chosen_because: str = ""
    created: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    gpu: Mapping[str, Any] = field(default_factory=dict)
    dropped_records: int | None = None
    unattributed: int = 0
    perturbation: Mapping[str, float] = field(default_factory=dict)
    incomplete: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every activity of the recorded window is in the Trace."""
        return not self.incomplete

    def to_json(self) -> str:
        """Serialise to a JSON object with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TraceInfo:
        """Read what `to_json` wrote.

        Raises:
            TraceFormatError: the text is not a JSON object with the fields of this class.
        """
        try:
            data = json.loads(text)
            data["incomplete"] = tuple(data.get("incomplete", ()))
            data["notes"] = tuple(data.get("notes", ()))
            return cls(**data)
        except (ValueError, TypeError) as error:
            raise TraceFormatError(
                f"the Trace's info block cannot be read ({error})",
                fix="record it again, or convert it with the release that wrote it",
            ) from error
