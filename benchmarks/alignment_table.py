"""Sections of docs/results.md on the alignment engine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import table

CPU = Path(__file__).parent / "results" / "cpu"
GPU = Path(__file__).parent / "results" / "h200"
Document = dict[str, Any]
Where = Callable[[Document], str]
"""Says which machine, versions and command a document is from."""


def sections(where: Where) -> list[str]:
    """Everything that has been measured, in the order of the page."""
    return [
        *mutations(where),
        *captures(_read(GPU / "kernel_latency_captures.json"), where),
        *located(_read(GPU / "locate_models.json"), where),
        *scale(_read(CPU / "alignment_scale.json")),
    ]


def _read(path: Path) -> Document | None:
    return json.loads(path.read_text()) if path.exists() else None


def mutations(where: Where) -> list[str]:
    """Differences planted on meta, in recordings and on the GPU."""
    names = {
        "meta": CPU / "mutations_meta.json",
        "edited recordings": CPU / "mutations_trace.json",
        "H200, transformers": GPU / "mutations_gpu_transformers.json",
        "H200, vLLM": GPU / "mutations_gpu_vllm.json",
    }
    found = {name: document for name, path in names.items() if (document := _read(path))}
    if not found:
        return []
    counts = [[name, *_counted(document["figures"])] for name, document in found.items()]
    lines: list[str] = []
    for name, document in found.items():
        if name.startswith("H200"):
            rows = [_mutation(line) for line in document["figures"]["difference"]]
            head = ["planted", "check that has to fail", "cause that has to stand first"]
            lines += [table([*head, "outcome", "checks that failed"], rows), where(document)]
    head = ["on", "differences, right check and first cause", "pairs, both named"]
    return [
        "## Differences that were planted, and causes",
        "benchmarks/mutations.toml says what each has to be found by.",
        table([*head, "neutral changes, not flagged"], counts),
        *lines,
    ]


def _counted(figures: Document) -> list[str]:
    kinds = {"difference": "found", "pair": "found", "neutral": "quiet"}
    return [
        f"{sum(line['outcome'] == right for line in figures[kind])} of {len(figures[kind])}"
        if figures.get(kind)
        else "-"
        for kind, right in kinds.items()
    ]


def _mutation(line: Document) -> list[str]:
    failing = ", ".join(line.get("failing", {})) or line.get("error", "-")
    return [line["name"], line["check"], line["cause"], line["outcome"], failing.replace("|", "/")]


def captures(document: Document | None, where: Where) -> list[str]:
    """What another place in memory does to kernels."""
    if document is None:
        return []
    cases = document["figures"]
    rows = [
        [
            f"{case['framework']} {case['phase']}",
            case["launches"],
            each["replays"],
            f"{each['pairs_with_a_kernel_named']} of {each['pairs_of_captures']}",
            f"{each['too_noisy_to_say']:g}",
            ", ".join(f"{what}: {share:.0%}" for what, share in each["found"].items()),
        ]
        for case in cases
        for each in case["judged"]
    ]
    head = ["layer", "launches", "replays a side", "equal pairs in which a kernel is named"]
    head += ["launches too noisy to say", "one slower launch found"]
    bounds = sorted({row["from_us"] for case in cases for row in case["moved"]})
    moved = [[f"{low:g} us and more", *_moved(cases, low)] for low in bounds]
    return [
        "## Kernel by kernel: what another capture changes",
        "The same layer captured again lies elsewhere in memory. How far the medians of one launch "
        "are apart in two captures, against the typical launch:",
        table(["launches that take", "pairs", "median of medians", "99 %", "largest"], moved),
        "The check `kernel latency` on pairs of captures of equal layers:",
        table(head, rows),
        where(document),
    ]


def _moved(cases: Sequence[Document], low: float) -> list[str]:
    rows = [row for case in cases for row in case["moved"] if row["from_us"] == low]
    middle = sorted(row["median"] for row in rows)[len(rows) // 2]
    count = sum(row["launches"] for row in rows)
    return [
        f"{count}",
        f"{middle:.1%}",
        *(f"{max(r[n] for r in rows):.1%}" for n in ("p99", "max")),
    ]


def located(document: Document | None, where: Where) -> list[str]:
    """The operator in models of four layers, without regions."""
    if document is None:
        return []
    rows = [
        [
            line["trace"].removesuffix(".parquet"),
            line["method"],
            f"{line['exactly_the_region']} of {line['expected']}",
            line["steps_by_layers"],
            f"{line['best_score']:.2f}",
        ]
        for line in document["figures"]
        if "found" in line
    ]
    absent = Counter(line["method"] for line in document["figures"] if "not_applicable" in line)
    note = "transformers launches none of the kernels that the operator's patterns name."
    head = ["recording", "found by", "occurrences that are exactly the module's", "steps x layers"]
    return [
        "## The operator located in models of four layers, all regions taken off",
        table([*head, "score"], rows),
        *([note] if absent else []),
        where(document),
    ]


def scale(document: Document | None) -> list[str]:
    """Two lists of a million launches."""
    if document is None:
        return []
    rows = [
        [
            line["case"],
            " / ".join(f"{count:,}" for count in line["launches"]),
            f"{line['recovered_edits']} of {line['planted_edits']}"
            if line.get("planted_edits")
            else "-",
            f"{line['seconds']:.1f}",
            line["peak_rss_mib"],
        ]
        for line in document["figures"]
    ]
    head = ["lists", "launches mock / reference", "edits recovered", "s", "peak MiB"]
    return ["## Two lists of a million launches", table(head, rows)]
