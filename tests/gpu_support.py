"""What the tests on a device share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent

ON_DEVICE = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def regions_of(trace, column="region"):
    """Name of the region of each activity."""
    ids, names = (trace.regions[name].to_pylist() for name in ("id", "name"))
    known = dict(zip(ids, names, strict=True))
    return [known[identifier] for identifier in trace.activities[column].to_pylist()]


def python(code, *, timeout=60, **more):
    """Run code in a process of its own, which must end."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **more,
    )
