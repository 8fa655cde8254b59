"""The evidence file: everything behind a verdict as JSON, with a hash of its content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.align.model import Alignment, Verdict
from harness.errors import InputError
from harness.report.plain import plain_json

SCHEMA = "harness.evidence/1"
"""One alignment."""

SET_SCHEMA = "harness.evidence-set/1"
"""Several alignments under ``results``, each with a hash of its own."""

HASH = "content_hash"


def evidence(alignment: Alignment) -> dict[str, Any]:
    """An alignment as plain JSON values with a content hash.

    Numbers that JSON does not have are null, and ``non_finite`` says where and which.
    """
    non_finite: dict[str, str] = {}
    fields = {item.name: getattr(alignment, item.name) for item in dataclasses.fields(alignment)}
    document: dict[str, Any] = {"schema": SCHEMA}
    document.update(plain_json(fields, "", non_finite))
    document["non_finite"] = non_finite
    return sealed(document)


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with a ``content_hash`` over everything else in it."""
    content = {key: value for key, value in document.items() if key != HASH}
    return {**content, HASH: content_hash(content)}


def content_hash(document: Mapping[str, Any]) -> str:
    """SHA-256 over canonical JSON (sorted keys, no spaces) of all but the hash itself.

    Raises:
        ValueError: a number is not finite.
    """
    content = {key: value for key, value in document.items() if key != HASH}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def evidence_set(document: Mapping[str, Any]) -> dict[str, Any]:
    """Several documents of evidence as one (``results``, and whatever else is given)."""
    return sealed({"schema": SET_SCHEMA, **document})


def evidence_json(results: Sequence[Mapping[str, Any]]) -> str:
    """One document as it is, several as a set, as JSON text."""
    verdict = Verdict.worst(Verdict(result["verdict"]) for result in results)
    several = {"verdict": str(verdict), "results": list(results)}
    whole = results[0] if len(results) == 1 else evidence_set(several)
    return json.dumps(whole, indent=1, allow_nan=False)


def write_evidence(alignment: Alignment, path: str | Path) -> Path:
    """Write the evidence of one alignment, replacing what was there.

    Raises:
        InputError: the file cannot be written.
    """
    return write_evidence_document(evidence(alignment), path)


def write_evidence_document(document: Mapping[str, Any], path: str | Path) -> Path:
    """Write a document of evidence; one without a schema becomes a set (``results``).

    Raises:
        InputError: the file cannot be written.
    """
    whole = document if "schema" in document else evidence_set(document)
    target = Path(path)
    # Renamed into place, so that a file of this name is never half of one.
    part = target.parent / f"{target.name}.part"
    try:
        part.write_text(json.dumps(sealed(whole), indent=1, allow_nan=False) + "\n")
        part.replace(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise InputError(
            f"cannot write the evidence to {target} ({error.strerror or error})",
            fix="choose a file in a folder that exists and that you may write to",
        ) from error
    return target


def verify_evidence(path: str | Path) -> dict[str, Any]:
    """Read an evidence file and prove that it is as it was written.

    Returns:
        The document, hash included.

    Raises:
        InputError: there is no such file, it is not evidence, its schema is unknown, or its
            content does not match its hash.
    """
    source = Path(path)
    document = _read(source)
    schema = document.get("schema")
    if schema is None:
        raise _not_evidence(source, "it has no schema")
    if schema not in (SCHEMA, SET_SCHEMA):
        raise InputError(
            f"{source} has the schema {schema!r}, this release reads {SCHEMA} and {SET_SCHEMA}",
            fix="read it with the release that wrote it",
        )
    parts = [document]
    if schema == SET_SCHEMA:
        results = document.get("results")
        if not isinstance(results, list) or not all(isinstance(part, dict) for part in results):
            raise _not_evidence(source, "its results are not a list of evidence")
        parts += results
    for part in parts:
        if part.get(HASH) != content_hash(part):
            raise InputError(
                f"{source} was changed after it was written: its content hash does not match",
                fix="do not trust it; run the comparison again",
            )
    return document


def _read(source: Path) -> dict[str, Any]:
    try:
        document = json.loads(source.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise InputError(
            f"cannot read the evidence {source} ({error.strerror or error})",
            fix="check the path; compare --out DIR writes DIR/evidence.json",
        ) from error
    except (ValueError, RecursionError) as error:
        raise _not_evidence(source, str(error)) from error
    if not isinstance(document, dict):
        raise _not_evidence(source, "it is not a JSON object")
    return document


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON number")


def _not_evidence(source: Path, reason: str) -> InputError:
    return InputError(
        f"{source} is not an evidence file ({reason})",
        fix="pass the evidence.json that compare --out wrote",
    )
