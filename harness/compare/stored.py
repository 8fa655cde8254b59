"""The measurement that was stored beside a Trace: the evidence of the run that wrote both."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.align.forwards import split_forwards
from harness.compare.output import EVIDENCE
from harness.compare.recording import OPERATOR
from harness.errors import HarnessError
from harness.measure.model import Conditions, Measurement, NoiseFloor, PairedMeasurement
from harness.names import identity_keys
from harness.report.evidence import SCHEMA, verify_evidence
from harness.trace import Trace

LABELS = {"mock": "mock", "reference": "reference", "in_layer": "in layer"}
"""Beginning of a file's name -> label of the side whose Trace ``compare --out`` wrote to it."""


@dataclass(frozen=True)
class Stored:
    """What the evidence beside a Trace says of it.

    Attributes:
        folder: of both.
        label: of the side.
        document: the evidence; None where there is none that fits.
        problem: why not; empty when there is.
    """

    folder: Path
    label: str
    document: Mapping[str, Any] | None
    problem: str = ""


@dataclass(frozen=True)
class StoredPair:
    """Latency of two Traces, or why it is not known; the case that was run."""

    pair: PairedMeasurement | None
    untimed: str
    conditions: Conditions | None = None
    case: Mapping[str, Any] | None = None


def stored_beside(path: Path, trace: Trace) -> Stored:
    """The evidence in the same folder, if it is whole and describes this Trace."""
    label = LABELS.get(path.name.split(".")[0], "")
    source = path.parent / EVIDENCE
    if not source.exists():
        return Stored(path.parent, label, None, f"there is no {EVIDENCE} beside {path.name}")
    try:
        document = verify_evidence(source)
    except HarnessError as error:
        return Stored(path.parent, label, None, error.what)
    if document["schema"] != SCHEMA:
        return Stored(path.parent, label, None, f"{source} holds several results")
    mode = "eager" if path.name.endswith(".eager.parquet") else "replay"
    side = document.get("sides", {}).get(label) or {}
    listed = side.get(mode) or side.get("eager") or {}
    try:
        names = [row["identity"] for row in listed.get("activities", ())]
    except KeyError as error:
        return Stored(path.parent, label, None, _older(error))
    forwards = split_forwards(trace)
    last = forwards[-1] if forwards else None
    if last is not None and label == "in layer":
        last = last.in_region(OPERATOR)
    if last is None or names != identity_keys(last):
        text = f"{source} describes another Trace than {path.name}"
        return Stored(path.parent, label, None, text)
    return Stored(path.parent, label, document)


def stored_pair(mock: Stored, reference: Stored, tolerance: float) -> StoredPair:
    """The paired measurement of two Traces of one run.

    Samples of two runs were not interleaved, so their ratio decides nothing and is not judged.
    """
    for what, one in (("mock", mock), ("reference", reference)):
        if one.document is None:
            return StoredPair(None, f"no measurement of the {what}: {one.problem}")
    assert mock.document is not None
    assert reference.document is not None
    case = mock.document.get("case")
    if mock.folder.resolve() != reference.folder.resolve():
        text = f"timed in two runs, not interleaved{_medians(mock, reference)}"
        return StoredPair(None, text, case=case)
    if (mock.label, reference.label) != ("mock", "reference"):
        text = f"the run timed mock and reference, not {mock.label} and {reference.label}"
        return StoredPair(None, text, case=case)
    try:
        return _pair(mock.document, case, tolerance)
    except (KeyError, TypeError) as error:
        return StoredPair(None, _older(error), case=case)


def _older(error: KeyError | TypeError) -> str:
    """Why evidence cannot be used whose fields are not those of this version: half a measurement
    would be judged as if it were a whole one."""
    if isinstance(error, KeyError):
        return f"the evidence is of an older version: no {error}"
    return f"the evidence is of another version: {error}"


def _medians(mock: Stored, reference: Stored) -> str:
    """Medians of two runs, as far as their evidence tells them."""
    shown = []
    for one in (mock, reference):
        found = _stored_measurement(one.document or {}, one.label)
        if found and found.get("samples_ms"):
            shown.append(f"{one.label} {statistics.median(found['samples_ms']):.4f} ms")
    return f" ({', '.join(shown)})" if shown else ""


def _stored_measurement(document: Mapping[str, Any], label: str) -> Mapping[str, Any] | None:
    side: Mapping[str, Any] = document.get("sides", {}).get(label) or {}
    return side.get("measurement")


def _measurement(document: Mapping[str, Any], label: str) -> Measurement | None:
    found = _stored_measurement(document, label)
    if not found:
        return None
    return Measurement(
        label,
        tuple(found["samples_ms"]),
        found["calls_per_sample"],
        found["mode"],
        found["clock"],
        found["instances"],
    )


def _pair(
    document: Mapping[str, Any], case: Mapping[str, Any] | None, tolerance: float
) -> StoredPair:
    checks = {check["name"]: check for check in document["checks"]}
    latency, conditions = checks["latency"], checks["conditions"]
    mock, reference = (_measurement(document, label) for label in ("mock", "reference"))
    data = latency["data"]
    if mock is None or reference is None or data.get("ratio") is None:
        return StoredPair(None, f"not timed: {latency['reason']}", case=case)
    floor = data["floor"]
    # a decision was made against one tolerance; against another the interval decides
    same = data["tolerance"] == tolerance
    pair = PairedMeasurement(
        mock,
        reference,
        data["ratio"],
        (data["ci95"][0], data["ci95"][1]),
        data["method"],
        tuple(latency["details"]),
        decision=data["decision"] if same else "",
        undecided_because=data["undecided_because"] if same else "",
        floor=NoiseFloor(floor["ratio"], tuple(floor["ci95"]), floor["what"]) if floor else None,
        cache=data["cache"],
        cache_state=data["cache_state"],
        gap_share=data["gap_share"],
        blocks=data["blocks"],
        looks=data["looks"],
        seconds=data["seconds"],
        drift=data["drift"],
        slow_samples=(data["slow_samples"][0], data["slow_samples"][1]),
        levels=(data["levels"][0], data["levels"][1]),
    )
    state = Conditions(**conditions["data"]) if conditions["data"] else None
    return StoredPair(pair, "", state, case)
