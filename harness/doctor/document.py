"""A report as a JSON object."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from harness.doctor.model import Capability, Report


def document(report: Report) -> dict[str, Any]:
    """``summary``, ``exit_code``, ``findings`` and ``capabilities``, as plain JSON values."""
    return {
        "summary": report.summary,
        "exit_code": report.exit_code,
        "findings": [asdict(finding) for finding in report.findings],
        "capabilities": [_capability(capability) for capability in report.capabilities],
    }


def document_json(report: Report) -> str:
    """`document` as text."""
    return json.dumps(document(report), indent=1)


def _capability(capability: Capability) -> dict[str, Any]:
    blockers = capability.blockers
    return {
        "name": capability.name,
        "works": capability.works,
        "in_the_way": [blocker.name for blocker in blockers],
        "fixes": list(dict.fromkeys(blocker.fix for blocker in blockers if blocker.fix)),
    }
