"""Live CUPTI against nsys on a GPU: the same list, kernel by kernel, in another process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.align.checks.witness import NAME
from harness.errors import HarnessError
from harness.record.files.nsys.program import find_nsys
from harness.trace import read_trace
from tests.gpu_support import ON_DEVICE, ROOT

try:
    find_nsys()
    MISSING = ""
except HarnessError as error:
    MISSING = error.what

pytestmark = [*ON_DEVICE, pytest.mark.skipif(bool(MISSING), reason=MISSING or "nsys is there")]

SIZES = {
    "context": ["--phase", "context", "--seq-len", "1024"],
    "generation": ["--phase", "generation", "--kv-len", "2304"],
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("phase", SIZES)
def test_nsys_sees_the_list_that_was_recorded_live(tmp_path, phase):
    command = [sys.executable, "-m", "harness.compare", "--op", "dsa", "--tp", "8"]
    command += ["--framework", "transformers", *SIZES[phase], "--validate", "nsys"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    document = json.loads((tmp_path / "evidence.json").read_text())
    (check,) = (one for one in document["checks"] if one["name"] == NAME)
    assert check["status"] in ("pass", "inconclusive"), (check, done.stderr)
    assert "the same list" in check["reason"], check
    data = check["data"]
    assert set(data["lists"]) == {
        f"{side} {mode}" for side in ("mock", "reference") for mode in ("eager", "graph replay")
    }
    for one in data["lists"].values():
        assert one["live"] == one["nsys"] > 0
    replay = data["lists"]["mock graph replay"]
    assert replay["graph_nodes"] == {"live": replay["live"], "nsys": replay["live"]}
    assert data["kernels_timed"] > 0
    assert len(read_trace(tmp_path / "nsys_witness.parquet"))
