"""What the tests around the collector of tests/collector_package share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "collector_package"
PATHS = (PACKAGE, PACKAGE / "collector")
"""The helper can be imported as ``collector.helper`` and as ``helper``, as real collectors do."""


def collector_on_path(monkeypatch):
    """For a fixture: the collector can be imported during a test, and is new in each."""
    for path in PATHS:
        monkeypatch.syspath_prepend(str(path))
    yield
    for name in list(sys.modules):
        if name == "helper" or name.partition(".")[0] == "collector":
            del sys.modules[name]


def sidecar_of(csv_file):
    """The lines of the sidecar beside a CSV."""
    return [json.loads(line) for line in Path(f"{csv_file}.align.jsonl").read_text().splitlines()]
