"""Planted differences: is each found by the right check, with the right cause first?

    python -m benchmarks.mutations --on meta --out OUT          # no GPU: structure at full size
    python -m benchmarks.mutations --on trace --out OUT         # edited recordings
    python -m benchmarks.mutations --on gpu --framework vllm --out OUT

benchmarks/mutations.toml, which is older than the rules, says what is expected. Equal sides again
and again (A/A) are in benchmarks/repeats.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import mutation_edits, mutation_neutral, mutation_plants
from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.align.checks.kernel_latency import FEWEST_FORWARDS
from harness.align.model import Alignment, Status
from harness.compare.files import FilesRecorder
from harness.compare.options import Options
from harness.compare.pipeline import Job, conclude, run
from harness.record.choose import choose_recorder
from ops.case import Case
from ops.registry import choose_framework, operator

FILE = Path(__file__).with_suffix(".toml")
Table = Mapping[str, Any]

UNTIMED_FORWARDS = 2
"""On ``meta`` nothing has a time, so two forwards show all that there is: that they are alike."""

SPECIFIC = 40
"""Strength from which a rule of causes.toml says more than that something differs."""


def read_mutations(path: Path = FILE) -> dict[str, list[dict[str, Any]]]:
    """The tables ``difference``, ``pair`` and ``neutral``."""
    with path.open("rb") as file:
        return tomllib.load(file)


def case_of(row: Table) -> Case:
    """1 x 4096 in context, 8 x 4096 in generation, where the row says nothing else."""
    phase = row.get("phase", "generation")
    batch, new = (8, 1) if phase == "generation" else (1, 4096)
    sizes = (row.get("batch_size", batch), new, row.get("kv_len", 4096))
    framework = row.get("framework", "transformers")
    return Case("dsa", phase, row.get("tp", 8), *sizes, framework=framework)


def job_of(row: Table) -> Job:
    """An unchanged job of the row's case."""
    op = operator("dsa")
    adapter, _ = choose_framework(op, row.get("framework", "transformers"))
    return Job(op, case_of(row), adapter)


def planted(job: Job, rows: Sequence[Table]) -> Job:
    """The job with all of these differences."""
    for row in rows:
        plants = {**mutation_plants.BY_NAME, **mutation_neutral.BY_NAME}
        job = plants[row["plant"]](job, **row.get("with", {}))
    return job


def compared(job: Job, where: str) -> Alignment:
    """One comparison on ``meta`` or on the GPU."""
    gpu = where == "gpu"
    recorder, reason = choose_recorder("cupti" if gpu else "auto", "cuda" if gpu else "meta")
    forwards = FEWEST_FORWARDS if gpu else UNTIMED_FORWARDS
    options = Options("cuda" if gpu else "meta", recorder, reason, forwards=forwards, rounds=20)
    (result,) = run([job], options)
    return result.alignment


def edited(row: Table) -> Alignment:
    """One comparison of an edited recording with the recording."""
    observed = mutation_edits.BY_NAME[row["plant"]](**row.get("with", {}))
    options = Options("", FilesRecorder())
    return conclude(observed, options, case_of(row).to_dict()).alignment


def said(alignment: Alignment) -> dict[str, Any]:
    """Failing checks, each with its causes in order."""
    failing = [check for check in alignment.checks if check.status is Status.FAIL]
    return {
        "verdict": str(alignment.verdict),
        "failing": {check.name: [cause.name for cause in check.causes] for check in failing},
        "details": {check.name: list(check.details) for check in failing},
        "observations": {c.name: c.causes[0].observation for c in failing if c.causes},
        "summary": alignment.summary,
    }


def one_difference(row: Table, where: str) -> dict[str, Any]:
    """Plant one difference and judge what was said of it."""
    line = {"name": row["name"], "on": where, "check": row["check"], "cause": row["cause"]}
    try:
        found = said(
            edited(row) if where == "trace" else compared(planted(job_of(row), [row]), where)
        )
    except Exception as error:  # noqa: BLE001  a mock that the framework refuses is one row, too
        traceback.print_exc(limit=-3)
        return line | {"outcome": "refused", "error": f"{type(error).__name__}: {error}"[:500]}
    causes = found["failing"].get(row["check"], [])
    if row["check"] not in found["failing"]:
        outcome = "missed" if not found["failing"] else "other check"
    else:
        outcome = "found" if causes[:1] == [row["cause"]] else "other cause"
    return line | found | {"outcome": outcome}


def one_pair(names: Sequence[str], rows: Mapping[str, Table], where: str) -> dict[str, Any]:
    """Plant two together; both have to be `named`."""
    both = [rows[name] for name in names]
    alignment = compared(planted(job_of(both[0]), both), where)
    missed = [row["cause"] for row in both if not named(alignment, row)]
    outcome = "other cause" if missed else "found"
    line = {"name": " + ".join(names), "on": where, "not_named": missed, "outcome": outcome}
    return line | said(alignment)


def named(alignment: Alignment, row: Table) -> bool:
    """Whether one of two that were planted together is named where the file expects it.

    Its cause has to be one of the first two (as many as were planted) under its own check, with at
    least `SPECIFIC`: a cause further down, or one that would be given of any difference ("missing
    kernels"), does not count. Only where its own check passes, since the other plant makes up for
    it (launches left out outnumber those added), any failed check will do.
    """
    failing = [check for check in alignment.checks if check.status is Status.FAIL]
    own = [check for check in failing if check.name == row["check"]]
    return any(
        cause.name == row["cause"] and cause.score >= SPECIFIC
        for check in own or failing
        for cause in check.causes[:2]
    )


def one_neutral(row: Table, where: str, framework: str) -> dict[str, Any]:
    """Change what must not matter; no check may fail."""
    if row["plant"] == "other_process":
        return _in_a_process(row["name"], where, framework)
    found = said(compared(planted(job_of({"framework": framework}), [row]), where))
    outcome = "flagged" if found["failing"] else "quiet"
    return {"name": row["name"], "on": where, "outcome": outcome} | found


def _in_a_process(name: str, where: str, framework: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.mutations", "--on", where]
        command += ["--framework", framework, "--unchanged", "--out", folder]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        document = json.loads((Path(folder) / "mutations_unchanged.json").read_text())
    return {"name": name, "on": where, **document["figures"]}


def run_all(where: str, framework: str, only: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Every row of the file that runs here."""
    tables = read_mutations()
    rows = {row["name"]: row for row in tables["difference"]}
    here = [row for row in rows.values() if where in row["on"] and _wanted(row, framework, only)]
    made = {"difference": [_told(one_difference(row, where)) for row in here]}
    if where == "trace" or only:
        return made
    fitting = [name for name, row in rows.items() if where in row["on"]]
    fitting = [name for name in fitting if _wanted(rows[name], framework, ())]
    pairs = [pair["names"] for pair in tables["pair"] if set(pair["names"]) <= set(fitting)]
    made["pair"] = [_told(one_pair(names, rows, where)) for names in pairs]
    neutral = [row for row in tables["neutral"] if where in row["on"]]
    made["neutral"] = [_told(one_neutral(row, where, framework)) for row in neutral]
    return made


def _wanted(row: Table, framework: str, only: Sequence[str]) -> bool:
    if only:
        return row["name"] in only
    return "trace" in row["on"] or row["framework"] == framework


def _told(line: dict[str, Any]) -> dict[str, Any]:
    failing = line.get("failing", {})
    checks = ", ".join(f"{name}: {(causes or ['-'])[0]}" for name, causes in failing.items())
    print(f"{line['outcome']:11} {line['name']:52} {checks or line.get('error', '')}", flush=True)
    return line


def main() -> None:
    """Run them and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=("meta", "gpu", "trace"), default="meta")
    parser.add_argument("--framework", default="transformers")
    parser.add_argument("--only", default="", help="names of differences, by semicolons")
    parser.add_argument("--unchanged", action="store_true", help="equal sides, once")
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    a = parser.parse_args()
    if a.unchanged:
        found = said(compared(job_of({"framework": a.framework}), a.on))
        outcome = "flagged" if found["failing"] else "quiet"
        write_result("mutations_unchanged", a.out, {"outcome": outcome, **found})
        return
    made = run_all(a.on, a.framework, [name for name in a.only.split(";") if name])
    lines = [line for rows in made.values() for line in rows]
    bad = [line for line in lines if line["outcome"] not in ("found", "quiet")]
    name = f"mutations_gpu_{a.framework}" if a.on == "gpu" else f"mutations_{a.on}"
    write_result(name, a.out, made)
    print(f"{len(lines) - len(bad)} of {len(lines)} as expected")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
