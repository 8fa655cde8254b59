"""Weight streaming: what was copied for which layer, and how much of it compute has hidden."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.analyze.devices import device_notes
from harness.analyze.layer_slots import Launched, layer_slots
from harness.analyze.overlap import share, shared_ns
from harness.analyze.range_roles import EVICTION, HIT, LAYER, MISS, PREFETCH, Match, read_patterns
from harness.analyze.region_groups import RegionTree
from harness.analyze.rules import Finding, Number, judge
from harness.analyze.selection import Ints, Mask, ints
from harness.analyze.work import COMPUTE, UNKNOWN, Work, device_work
from harness.trace import Trace

ROLES = pa.schema(
    [
        pa.field("role", pa.string()),
        pa.field("pattern", pa.string()),
        pa.field("ranges", pa.int64()),
        pa.field("host_ns", pa.int64()),
        pa.field("kernels", pa.int64()),
        pa.field("copies", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("copy_ns", pa.int64()),
        pa.field("overlapped_copy_ns", pa.int64()),
        pa.field("overlapped_share_of_copy", pa.float64()),
        pa.field("bytes_per_s", pa.float64()),
    ]
)
"""Columns of `StreamingReport.roles`."""


@dataclass(frozen=True)
class StreamingReport:
    """Weight streaming of one Trace. Times in ns.

    Attributes:
        roles: a row for each pattern that matched: ranges, their time on the host, and what was
            launched in them and in those inside them (so one copy may be in several rows).
            ``copy_ns`` is the length of the copies' union per device, ``overlapped_copy_ns`` the
            part during which the device computed, ``bytes_per_s`` bytes / ``copy_ns``; bytes null
            where a copy's are not known.
        layers: ideal against actual time of each layer; see `harness.analyze.layer_slots`.
        numbers: totals, shares named by their denominator; None where the Trace cannot tell.
        findings: what the rules of the pattern file say; empty where no range matches.
        notes: what could not be said, and why.
    """

    roles: pa.Table
    layers: pa.Table
    numbers: dict[str, Number]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def streaming(trace: Trace, patterns: Path | None = None) -> StreamingReport:
    """Report on the streaming of weights (and KV blocks) that a program shows by its ranges.

    Args:
        patterns: a TOML file like streaming.toml, which is used without one.

    Raises:
        InputError: the file cannot be used.
    """
    known = read_patterns(patterns)
    tree, work = RegionTree(trace.regions), device_work(trace)
    by_name = {name: known.match(name) for name in set(tree.names)}
    matches = [by_name[name] for name in tree.names]
    places = tree.places(work.regions)
    roles = _roles(tree, work, matches, places)
    layers = layer_slots(work, Launched(tree, matches, places))
    numbers = _totals(work, roles, layers, matches, places, tree)
    looked_up = [known.looked_up(name) for name in tree.names]
    hits, misses = (sum(kind in found for found in looked_up) for kind in (HIT, MISS))
    numbers |= {"hits": hits, "misses": misses, "lookups": hits + misses}
    numbers["hit_share_of_lookups"] = share(hits, hits + misses)
    findings = judge(known.rules, numbers, _WHY_UNKNOWN) if numbers["range_count"] else []
    notes = (*_notes(numbers), *device_notes(work.shared_numbers))
    return StreamingReport(roles, layers, numbers, tuple(findings), notes)


_NO_LAYERS = "no kernel was launched in a range of the role layer"
_NO_COPIES = "no copy was launched in a range of a streaming role"
_WHY_UNKNOWN = {
    "ideal_share_of_actual": _NO_LAYERS,
    "copies_per_compute": _NO_LAYERS,
    "overlapped_share_of_prefetch_copy": "no copy was launched in a prefetch range",
    "hit_share_of_lookups": "no range says hit or miss",
    "mean_copy_bytes": _NO_COPIES,
    "copy_bytes_per_s": _NO_COPIES,
}


def _notes(numbers: dict[str, Number]) -> tuple[str, ...]:
    if not numbers["range_count"]:
        return ("no range of the Trace matches a pattern of weight streaming",)
    return () if numbers["layer_instances"] else (f"{_NO_LAYERS}, so no ideal against actual time",)


def _roles(tree: RegionTree, work: Work, matches: list[Match | None], places: Ints) -> pa.Table:
    members: dict[tuple[str, str], list[int]] = {}
    for place, match in enumerate(matches):
        if match:
            members.setdefault((match.role, match.pattern), []).append(place)
    starts = ints(tree.rows["start_ns"])
    lengths = ints(tree.rows["end_ns"]) - starts
    lengths[pc.is_null(tree.rows["end_ns"]).to_numpy()] = 0
    rows = []
    for (role, pattern), ranges in members.items():
        inside = (places != UNKNOWN) & tree.with_nested(ranges)[places]
        row = {"role": role, "pattern": pattern, "ranges": len(ranges)}
        row |= {"host_ns": int(lengths[ranges].sum())}
        row |= {"kernels": int((inside & work.of_kind("kernel")).sum())}
        rows.append(row | copy_figures(work, inside))
    return pa.Table.from_pylist(rows, ROLES)


def copy_figures(work: Work, chosen: Mask) -> dict[str, Any]:
    """Figures of the copies among the chosen activities, as `ROLES` names them."""
    copies = chosen & work.of_class(*work.copy_classes)
    total = hidden = 0
    for device in np.unique(work.devices[copies]).tolist():
        here = work.devices == device
        union = work.union(copies & here)
        total += union.length_ns
        hidden += shared_ns(union, work.union(here & work.of_class(COMPUTE)))
    sizes = work.rows["bytes"].filter(pa.array(copies))
    moved = None if sizes.null_count else int(pc.sum(sizes).as_py() or 0)
    return {
        "copies": int(copies.sum()),
        "bytes": moved,
        "copy_ns": total,
        "overlapped_copy_ns": hidden,
        "overlapped_share_of_copy": share(hidden, total),
        "bytes_per_s": moved * 1e9 / total if moved is not None and total else None,
    }


def _totals(
    work: Work,
    roles: pa.Table,
    layers: pa.Table,
    matches: list[Match | None],
    places: Ints,
    tree: RegionTree,
) -> dict[str, Number]:
    streamed = [i for i, m in enumerate(matches) if m and m.role not in (LAYER, EVICTION)]
    ahead = [i for i, m in enumerate(matches) if m and m.role == PREFETCH]
    found = [
        copy_figures(work, (places != UNKNOWN) & tree.with_nested(some)[places])
        if some
        else copy_figures(work, np.zeros(len(places), np.bool_))
        for some in (streamed, ahead)
    ]
    every, prefetched = found
    compute, copy, ideal, actual, instances = (
        int(pc.sum(layers[name]).as_py() or 0)
        for name in ("compute_ns", "copy_ns", "ideal_ns", "actual_ns", "instances")
    )
    mean = every["bytes"] / every["copies"] if every["bytes"] and every["copies"] else None
    return {
        "range_count": sum(match is not None for match in matches),
        "layer_instances": instances,
        "compute_ns": compute,
        "copy_ns": copy,
        "ideal_ns": ideal,
        "actual_ns": actual,
        "ideal_share_of_actual": share(ideal, actual),
        "copies_per_compute": copy / compute if compute else None,
        "streamed_copies": every["copies"],
        "streamed_bytes": every["bytes"],
        "streamed_copy_ns": every["copy_ns"],
        "overlapped_share_of_streamed_copy": every["overlapped_share_of_copy"],
        "mean_copy_bytes": mean,
        "copy_bytes_per_s": every["bytes_per_s"],
        "prefetch_ranges": len(ahead),
        "prefetch_copy_ns": prefetched["copy_ns"],
        "overlapped_share_of_prefetch_copy": prefetched["overlapped_share_of_copy"],
    }
