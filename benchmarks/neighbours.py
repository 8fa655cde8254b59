"""Another profiler holds CUPTI: the command has to say so in one line and end with 3.

python -m benchmarks.neighbours --out OUT        (nsys by PATH or the variable NSYS)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.results_file import DEFAULT_FOLDER, write_result

CASE = ["--op", "dsa", "--tp", "8", "--phase", "generation", "--kv-len", "2304"]
COMMAND = [*CASE, "--framework", "transformers"]

INSIDE = """
import contextlib, sys
from harness.cli import run_command
from harness.compare.command import compare
{start}
with held:
    code = run_command(compare, {command!r})
sys.exit(code)
"""

PROTON = "import triton.profiler as p; p.start({path!r}); held = contextlib.nullcontext()"
TORCH = "import torch; held = torch.profiler.profile()"


def ended(command: list[str]) -> dict[str, Any]:
    """Exit code and error lines of a comparison."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "error:" in line]
    traceback = "Traceback" in done.stdout + done.stderr
    return {"exit_code": done.returncode, "error_lines": lines, "traceback": traceback}


def main() -> None:
    """Run the comparison beside each profiler."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, start in (("proton", PROTON.format(path=f"{folder}/p")), ("torch", TORCH)):
            code = INSIDE.format(start=start, command=COMMAND)
            found[name] = ended([sys.executable, "-c", code])
        nsys = os.environ.get("NSYS") or shutil.which("nsys")
        if nsys:
            profile = [nsys, "profile", "--sample=none", "--cpuctxsw=none", "-t", "cuda,nvtx"]
            profile += ["-f", "true", "-o", f"{folder}/n", sys.executable, "-m", "harness.compare"]
            found["nsys"] = ended([*profile, *COMMAND])
    for name, line in found.items():
        print(name, line["exit_code"], *line["error_lines"])
    write_result("neighbours", arguments.out, found)
    clean = [
        line["exit_code"] == 3 and len(line["error_lines"]) == 1 and not line["traceback"]
        for line in found.values()
    ]
    sys.exit(not all(clean))


if __name__ == "__main__":
    main()
