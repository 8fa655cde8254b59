"""Other profilers in the process: each is refused in one line with exit code 3, or works.

python -m benchmarks.neighbours --out OUT   (nsys by PATH or the variable NSYS, ncu by PATH)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results_file import DEFAULT_FOLDER, write_result

CASE = ["--op", "dsa", "--tp", "8", "--phase", "generation", "--kv-len", "2304"]
COMPARE = [*CASE, "--framework", "transformers"]

INSIDE = """
import contextlib, sys
from harness.cli import run_command
from harness.compare.command import compare
{start}
with held:
    code = run_command(compare, {command!r})
sys.exit(code)
"""

RECORD = """
import sys, torch
from harness.errors import HarnessError
from harness.record.cupti import CuptiRecorder
x = torch.zeros(1, device="cuda")
x.add_(1)
def record():
    with CuptiRecorder().record() as recording:
        x.add_(1)
    trace = recording.trace
    print("recorded", len(trace), "complete" if trace.info.complete else trace.info.incomplete)
"""

REFUSED = (
    RECORD
    + """
try:
    record()
except HarnessError as error:
    print("error:", error)
    sys.exit(error.exit_code)
"""
)

PROFILE = "torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])"
ROWS = "print('device rows', sum('elementwise' in event.name for event in profile.events()))\n"

TORCH_BEFORE = REFUSED.replace("\ntry:", f"\nwith {PROFILE} as profile:\n    x.add_(1)\ntry:")
TORCH_AFTER = RECORD + f"record()\nwith {PROFILE} as profile:\n    x.add_(1)\n" + ROWS
PROTON_AFTER = (
    RECORD
    + """
record()
import triton.profiler as proton
try:
    proton.start({path!r})
except RuntimeError as error:
    print("Proton says:", error)
"""
)


@dataclass(frozen=True)
class Scenario:
    """A command and how it has to end.

    Attributes:
        name: shown.
        command: run in the checkout's root.
        refused: exit code 3 and one error line; otherwise 0, ``says`` and no error line.
        says: a line of the output has to contain it.
        environment: added to that of this process.
    """

    name: str
    command: list[str]
    refused: bool = True
    says: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def scenarios(folder: str) -> list[Scenario]:
    """All that can run here."""
    python = [sys.executable, "-c"]
    proton = f"import triton.profiler as p; p.start({folder + '/p'!r})"
    proton += "; held = contextlib.nullcontext()"
    torch = "import torch; held = torch.profiler.profile()"
    letting_go = {"TEARDOWN_CUPTI": "1"}
    made = [
        Scenario("proton running", [*python, INSIDE.format(start=proton, command=COMPARE)]),
        Scenario("torch.profiler running", [*python, INSIDE.format(start=torch, command=COMPARE)]),
        Scenario("torch.profiler before", [*python, TORCH_BEFORE]),
        Scenario(
            "torch.profiler before, TEARDOWN_CUPTI=1", [*python, TORCH_BEFORE], False,
            "recorded 1 complete", letting_go,
        ),
        Scenario("torch.profiler after", [*python, TORCH_AFTER], False, "device rows 1"),
        # CUPTI stays attached after a recording, also when it has been finalised, and Proton has a
        # libcupti of its own.
        Scenario(
            "proton after", [*python, PROTON_AFTER.format(path=f"{folder}/after")], False,
            "error 39",
        ),
    ]  # fmt: skip
    ncu = shutil.which("ncu")
    if ncu:
        quiet = [ncu, "--clock-control", "none", "--launch-count", "1"]
        made.append(Scenario("ncu", [*quiet, sys.executable, "-c", REFUSED]))
    nsys = os.environ.get("NSYS") or shutil.which("nsys")
    if nsys:
        profile = [nsys, "profile", "--sample=none", "--cpuctxsw=none", "-t", "cuda,nvtx"]
        profile += ["-f", "true", "-o", f"{folder}/n", sys.executable, "-m"]
        made.append(Scenario("nsys", [*profile, "harness.compare", *COMPARE]))
        made.append(Scenario("nsys, doctor", [*profile, "harness.doctor"], says="subscription"))
    return made


def outcome(scenario: Scenario) -> dict[str, Any]:
    """How it ended, and whether that is as it has to be."""
    done = subprocess.run(
        scenario.command, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, **scenario.environment},
    )  # fmt: skip
    text = done.stdout + done.stderr
    errors = [line for line in text.splitlines() if "error:" in line]
    told = [line for line in text.splitlines() if scenario.says in line]
    code = 3 if scenario.refused else 0
    one_line = len(errors) == 1 or (bool(scenario.says) and not errors)
    fine = done.returncode == code and bool(told) and "Traceback" not in text
    return {
        "exit_code": done.returncode,
        "refused": scenario.refused,
        "error_lines": errors,
        "says": told[0].strip() if scenario.says and told else "",
        "as_it_should": fine and (one_line if scenario.refused else not errors),
        "end_of_output": "" if fine else text[-2000:].replace(sys.prefix, "..."),
    }


def main() -> None:
    """Run every scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {scenario.name: outcome(scenario) for scenario in scenarios(folder)}
    for name, line in found.items():
        said = line["says"] or " ".join(line["error_lines"])
        print(f"{'ok ' if line['as_it_should'] else 'NOT'} {name}: {line['exit_code']} {said}")
    write_result("neighbours", arguments.out, found)
    sys.exit(not all(line["as_it_should"] for line in found.values()))


if __name__ == "__main__":
    main()
