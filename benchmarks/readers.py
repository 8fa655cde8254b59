"""Readers of other tools' files: expected figures, and speed beside other ways.

    python -m benchmarks.readers --data DATA --work DIR --peers PYTHON --out OUT

DATA holds ``expected.json`` and the folders ``nsys`` and ``kineto``; DIR is for the large files
that are made of them (1.1 GB); PYTHON is that of an environment with the peers (``pip install
nsys-ai HolisticTraceAnalysis``). Ends with 1 when a figure differs or a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import readers_kineto, readers_kineto_figures, readers_nsys
from benchmarks.readers_figures import check
from benchmarks.results_file import DEFAULT_FOLDER, write_result

PARTS = ("figures", "nsys", "kineto")

KINETO = "tracelens_h100_qwen1.5_0.5b.pt.trace.json.gz"
"""The trace that is repeated until it is large."""


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--peers", type=Path, help="Python with nsys-ai; without it, it is left out"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", type=int, default=readers_nsys.SIZES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=int, default=300, help="seconds for one process")
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER.with_name("cpu"))
    return parser.parse_args()


def figures(a: argparse.Namespace) -> list[str]:
    """Compare the expected figures of all exports; what is wrong."""
    rows = check(a.data)
    for row in rows:
        print(f"{'equal' if row['equal'] else 'DIFFERS':8} {row['file']}", row.get("abstains", ""))
    write_result("readers_nsys_figures", a.out, rows)
    return [f"{row['file']}: {row['differences']}" for row in rows if not row["equal"]]


def nsys(a: argparse.Namespace) -> list[str]:
    """Time exports of Nsight Systems; goals that are missed."""
    a.work.mkdir(parents=True, exist_ok=True)
    rows = readers_nsys.measure(a.data, a.work, a.peers, tuple(a.sizes), a.repeats, a.limit)
    print(readers_nsys.table(rows))
    write_result("readers_nsys", a.out, rows)
    return readers_nsys.missed(rows)


def kineto(a: argparse.Namespace) -> list[str]:
    """Compare the expected figures of traces of torch.profiler, and time a large one."""
    rows = readers_kineto_figures.check(a.data)
    write_result("readers_kineto_figures", a.out, rows)
    wrong = [f"{row['file']}: {row['differences']}" for row in rows if not row["equal"]]
    source = a.data / "kineto" / KINETO
    met = readers_kineto.measure(source, a.peers, a.out, a.repeats)
    return wrong if met else [*wrong, "readers_kineto: a goal is missed"]


_PART = {"figures": figures, "nsys": nsys, "kineto": kineto}


def main() -> int:
    """Run the parts; 1 where something is wrong."""
    a = options()
    wrong = [line for part in a.parts for line in _PART[part](a)]
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
