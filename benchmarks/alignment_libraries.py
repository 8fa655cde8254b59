"""Which library aligns two kernel lists: seconds, memory, differences found.

    python -m benchmarks.alignment_libraries --out OUT

Needs what it compares, as far as it is installed: pip install rapidfuzz edlib cydifflib. Each
library has the same lists with edits at random, in a process of its own, with limits of `SECONDS`
and `MEMORY_GIB`; one that runs into a limit is in the file with that.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import itertools
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.alignment_lists import edited, model_list
from benchmarks.process_memory import peak_rss_mib
from benchmarks.results_file import write_result
from harness.align.script import Ints, edits, numbered

FOLDER = Path(__file__).parent / "results" / "cpu"
SECONDS, MEMORY_GIB = 120, 8
SIZES = ((10_000, 10), (100_000, 100), (1_000_000, 1_000), (1_000_000, 15_000))
"""Launches and edits."""


def _opcodes(found: Any) -> int:
    """Launches taken out and put in, of opcodes as difflib gives them."""
    return sum(j - i + m - k for tag, i, j, k, m in found if tag != "equal")


def _difflib(first: Ints, second: Ints) -> int:
    import difflib

    lists = first.tolist(), second.tolist()
    return _opcodes(difflib.SequenceMatcher(None, *lists, autojunk=False).get_opcodes())


def _cydifflib(first: Ints, second: Ints) -> int:
    import cydifflib

    lists = first.tolist(), second.tolist()
    return _opcodes(cydifflib.SequenceMatcher(None, *lists, autojunk=False).get_opcodes())


def _levenshtein(first: Ints, second: Ints) -> int:
    from rapidfuzz.distance import Levenshtein

    found = Levenshtein.editops(first.tolist(), second.tolist())
    return sum(1 + (tag == "replace") for tag, _, _ in found)


def _indel(first: Ints, second: Ints) -> int:
    from rapidfuzz.distance import Indel

    return len(Indel.editops(first.tolist(), second.tolist()))


def _edlib(first: Ints, second: Ints) -> int:
    import edlib

    path = edlib.align(first.tolist(), second.tolist(), task="path")["cigar"]
    return sum(int(count) * (1 + (tag == "X")) for count, tag in re.findall(r"(\d+)([IDX])", path))


def _arrow(first: Ints, second: Ints) -> int:
    import pyarrow as pa

    return sum(
        line[:1] in ("+", "-") for line in pa.array(first).diff(pa.array(second)).split("\n")
    )


def _git(first: Ints, second: Ints) -> int:
    return sum(edit.size for edit in edits(first, second))


def _git_blocks(first: Ints, second: Ints) -> int:
    """Blocks that begin at one kernel, aligned as wholes first; then inside those that differ."""
    counts = np.bincount(first)
    head = int(np.argmin(np.abs(counts - len(first) / 64)))
    cuts = [
        np.unique(np.r_[0, np.flatnonzero(each == head), len(each)]) for each in (first, second)
    ]
    blocks = [
        [each[a:b].tobytes() for a, b in itertools.pairwise(cut)]
        for each, cut in zip((first, second), cuts, strict=True)
    ]
    total = 0
    for edit in edits(*numbered(*blocks)):
        old = first[cuts[0][edit.start] : cuts[0][edit.stop]]
        new = second[cuts[1][edit.new_start] : cuts[1][edit.new_stop]]
        total += _git(old, new)
    return total


LIBRARIES: dict[str, tuple[str, Callable[[Ints, Ints], int]]] = {
    "libgit2 (used)": ("pygit2", _git),
    "libgit2, equal blocks folded first": ("pygit2", _git_blocks),
    "pyarrow Array.diff": ("pyarrow", _arrow),
    "edlib": ("edlib", _edlib),
    "rapidfuzz Levenshtein": ("rapidfuzz", _levenshtein),
    "rapidfuzz Indel": ("rapidfuzz", _indel),
    "cydifflib": ("cydifflib", _cydifflib),
    "difflib": ("", _difflib),
}
"""Name -> package, and a function that gives the launches that differ."""


def measure(name: str, length: int, count: int) -> dict[str, Any]:
    """One library on one pair of lists, in this process."""
    original = model_list(length, 0)
    changed, planted = edited(original, count, 0)
    first, second = numbered(original, changed)
    limit = MEMORY_GIB << 30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before, start = peak_rss_mib(), time.perf_counter()
    differing = LIBRARIES[name][1](first, second)
    return {
        "seconds": round(time.perf_counter() - start, 3),
        "more_rss_mib": round(peak_rss_mib() - before),
        "differing_launches": differing,
        "planted_launches": sum(1 + (one.kind == "replace") for one in planted),
    }


def row(name: str, length: int, count: int) -> dict[str, Any]:
    """The same in a child, with what stopped it."""
    package = LIBRARIES[name][0]
    line: dict[str, Any] = {"library": name, "launches": length, "edits": count}
    if package and importlib.util.find_spec(package) is None:
        return line | {"problem": "not installed"}
    line["version"] = importlib.metadata.version(package) if package else sys.version.split()[0]
    command = [sys.executable, "-m", "benchmarks.alignment_libraries", "--one", name]
    command += [str(length), str(count)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return line | {"problem": f"more than {SECONDS} s"}
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return line | {"problem": said[0][:200]}
    return line | json.loads(done.stdout)


def main() -> None:
    """Every library at every size; one that failed is not tried with longer lists."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--one", nargs=3, metavar=("LIBRARY", "LAUNCHES", "EDITS"))
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one[0], int(given.one[1]), int(given.one[2]))))
        return
    rows = []
    for name in LIBRARIES:
        for length, count in SIZES:
            rows.append(row(name, length, count))
            print(rows[-1])
            if "problem" in rows[-1] or rows[-1]["seconds"] > 60:
                break
    write_result("alignment_libraries", given.out, rows)


if __name__ == "__main__":
    main()
