"""Draw docs/results.md from the JSON files of benchmarks/results/h200.

    python -m benchmarks.tables

Nothing in that page is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import alignment_table as engine
from benchmarks import decisions_pool as decided
from benchmarks import energy_table as joules
from benchmarks import readers_table as files
from benchmarks import recorder_summary as cost
from benchmarks.markdown import table
from benchmarks.results_file import DEFAULT_FOLDER

PAGE = Path(__file__).parent.parent / "docs" / "results.md"
Row = Sequence[Any]


def load(name: str) -> dict[str, Any]:
    """One result file."""
    found: dict[str, Any] = json.loads((DEFAULT_FOLDER / f"{name}.json").read_text())
    return found


def where(document: dict[str, Any]) -> str:
    """Which machine and versions, in one line."""
    environment = document["environment"]
    versions = environment["versions"]
    wanted = ("torch", "transformers", "vllm", "cupti-python", "triton")
    shown = ", ".join(f"{name} {versions[name]}" for name in wanted if name in versions)
    gpu = environment["gpu"]
    return (
        f"{gpu['name']}, driver {gpu.get('driver', '?')}, {shown}; {environment['created'][:10]}; "
        f"`{environment['command']}`"
    )


def interval(line: dict[str, Any]) -> str:
    """``1.0001 [0.9999, 1.0004]``."""
    if line.get("ratio") is None:
        return "-"
    low, high = line["ci95"]
    return f"{line['ratio']:.4f} [{low:.4f}, {high:.4f}]"


def alignment(name: str) -> str:
    """The cases of one operator and framework."""
    document = load(name)
    rows = []
    for line in document["figures"]:
        case = line["case"]
        seen = ", ".join(what for what, count in line["characteristic_kernels"].items() if count)
        size = f"{case['batch_size']}x{case['kv_len']}"
        rows.append(
            [
                case["framework"],
                f"{case['phase']} {size}",
                case["tp"],
                f"{line['kernels_mock']} / {line['kernels_reference']}",
                interval(line),
                line["checks"]["graph"].split(":")[0],
                line["verdict"],
                seen or "-",
            ]
        )
    head = ["framework", "case", "tp", "launches mock / reference", "latency ratio [95 %]"]
    head += ["graph", "verdict", "characteristic kernels seen"]
    return f"{table(head, rows)}\n\n{where(document)}"


def repeats(name: str) -> list[Row]:
    """Counts of one file of repeats."""
    figures = load(name)["figures"]
    ratios = [run["ratio"] for run in figures["runs"] if run["ratio"]]
    nodes = [run["residual"].get("replay_node_us_added") for run in figures["runs"]]
    added = sorted(value for value in nodes if value is not None)
    return [
        [
            f"{figures['framework']} {figures['phase']} tp {figures['tp']}",
            len(figures["runs"]),
            ", ".join(f"{kind}: {count}" for kind, count in figures["verdicts"].items()),
            figures["runs_with_a_failing_check"],
            f"{min(ratios):.4f} to {max(ratios):.4f}",
            f"{added[len(added) // 2]:.2f}" if added else "-",
        ]
    ]


def neighbours() -> str:
    """What the command says beside another profiler."""
    document = load("neighbours")
    rows = [
        [
            name,
            line["exit_code"],
            (" ".join(line["error_lines"]) or line["says"]).replace("|", "/"),
        ]
        for name, line in document["figures"].items()
    ]
    return f"{table(['other profiler', 'exit code', 'what is said'], rows)}\n\n{where(document)}"


def recorder(name: str, heading: str, *, complete: bool) -> list[str]:
    """Cost of recording beside other ways to record; nothing where it has not been measured.

    Args:
        name: of the results.
        heading: of the section.
        complete: whether all workloads were run; only then are there goals to show.
    """
    if not (DEFAULT_FOLDER / f"{name}.json").exists():
        return []
    document = load(name)
    figures = document["figures"]
    summary = figures["peers"]
    notes = [f"- {key}: {text}" for key, text in figures["notes"].items()]
    failed = [f"- not measured: {line}" for line in figures["not_measured"]]
    goals = table(["goal", "bound", "measured", "met"], cost.goal_rows(figures["goals"]))
    return [
        f"## {heading}",
        "Medians over all recordings of all processes; added is over `nothing`.",
        table(cost.HEAD, cost.rows(summary)),
        "Untraced, in the process that records, before its first and after its last recording:",
        table(cost.RESIDUAL_HEAD, cost.residual_rows(summary)),
        *([goals, NOT_MET, "\n".join(notes)] if complete else ["\n".join(failed)]),
        where(document),
    ]


def decisions() -> list[str]:
    """Error rates of paired decisions beside the collectors' way; nothing where not measured."""
    if not (DEFAULT_FOLDER / "decisions.json").exists():
        return []
    document = load("decisions")
    figures = document["figures"]
    shards = ", ".join(f"{name} {count}" for name, count in figures["shards"].items())
    titles = [f"- {name}: {title}" for name, title in figures["operators"].items()]
    return [
        "## How often a paired decision is wrong",
        "Equal operators, and operators planted to take longer; shares with Clopper-Pearson "
        "bounds. The planted ratios of a draw share its samples and are not independent of each "
        "other; the decisions about one ratio are from different draws (of DSA: from six sides per "
        "shard, built once). On the same pairs, "
        f"{figures['collectors']}.",
        table(decided.GOAL_HEAD, decided.goal_rows(figures["goals"])),
        table(decided.HEAD, decided.rows(figures["lines"])),
        "\n".join(titles),
        f"Pairs per shard: {shards}.",
        where({"environment": next(iter(figures["environments"].values()))}),
    ]


def witnessed() -> list[str]:
    """nsys as a second witness; nothing where not measured."""
    found = [files.witness(DEFAULT_FOLDER, f"witness_{name}") for name in ("vllm", "transformers")]
    lines = [line for each in found for line in each]
    return ["## nsys as a second witness", *lines] if lines else []


def energy() -> list[str]:
    """Energy per call; nothing where not measured."""
    if not (DEFAULT_FOLDER / "energy.json").exists():
        return []
    document = load("energy")
    return [*joules.sections(document["figures"]), where(document)]


NOT_MET = (
    "Two goals are not met. What recording adds to a launch is not half of what torch.profiler "
    "adds with CUDA activities alone, because it enables nearly the same: CUPTI's own floor adds "
    "as much. And a recording of 1,000 records costs some 2 ms whatever is in it (CUPTI's flush, "
    "thirty Arrow columns), so its cost per record is ten times that of a million."
)


def page() -> str:
    """The whole page."""
    head = ["operator", "runs", "verdicts", "with a failing check", "latency ratios"]
    head.append("residual after tracing, µs per graph node")
    again = [row for path in sorted(DEFAULT_FOLDER.glob("repeats_*.json"))
             for row in repeats(path.stem)]  # fmt: skip
    return "\n\n".join(
        [
            "# Results on an H200",
            "Drawn by `python -m benchmarks.tables` from `benchmarks/results/h200/`; the evidence "
            "of each case lies beside.",
            "## Mock against the real layer",
            alignment("alignment_dsa_transformers"),
            alignment("alignment_dsa_vllm"),
            "`dsa-kernels` is a mock that is known to differ, put together from single kernels:",
            alignment("alignment_dsa-kernels_vllm"),
            "## Equal sides, again and again",
            table(head, again),
            *recorder("recorder", "Cost of recording, side by side", complete=True),
            *recorder(
                "recorder_later",
                "The same after the recorder's last change, as far as time allowed",
                complete=False,
            ),
            *decisions(),
            *energy(),
            *files.readers(),
            *files.streaming(DEFAULT_FOLDER),
            *witnessed(),
            *engine.sections(where),
            "## Other profilers in the process",
            neighbours(),
        ]
    )


def main() -> None:
    """Write the page."""
    PAGE.write_text(page() + "\n")
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
