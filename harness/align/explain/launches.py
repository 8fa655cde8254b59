"""Facts from which launches are missing, extra or exchanged: by class, family and dtype."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from harness.align.explain.rules import Facts, Rulebook
from harness.align.observation import Observation
from harness.names import family
from harness.names.dtypes import NARROW, dtypes, gemm_dtype, without_dtypes
from harness.names.families import template
from harness.trace import Trace

NARROW_TENSORS = ("float8", "float4", "int8")
"""Beginnings of dtypes into which only quantisation casts."""


def launch_facts(observed: Observation, book: Rulebook) -> Facts:
    """What is missing and extra by class, and what is exchanged for a related kernel."""
    mock, reference = observed.keys
    lost, own = Counter(reference) - Counter(mock), Counter(mock) - Counter(reference)
    facts: dict[str, Any] = {"missing": lost.total(), "extra": own.total()}
    facts["names_differ"] = int(bool(lost or own))
    for name, pattern in book.kernels.items():
        word = name.replace(" ", "_")
        for sign, counts in (("missing", lost), ("extra", own)):
            facts[f"{sign}_{word}"] = sum(n for key, n in counts.items() if pattern.search(key))
        facts[f"reference_{word}"] = sum(bool(pattern.search(key)) for key in reference)
        facts[f"mock_{word}"] = sum(bool(pattern.search(key)) for key in mock)
    facts["missing_share_of_indexer"] = _share(facts["missing_indexer"], facts["reference_indexer"])
    facts["copy_share_of_extra"] = _share(facts["extra_copy"], facts["extra"])
    facts["norm_exchanges"] = max(
        min(facts["missing_fused_norm"], facts["extra_norm_part"]),
        min(facts["extra_fused_norm"], facts["missing_norm_part"]),
    )
    facts["narrow_casts"] = abs(_narrow(observed.lists[0]) - _narrow(observed.lists[1]))
    changes = lost.total() + own.total()
    facts |= _other_products(lost, own, book, changes)
    found, lost, own = _other_dtypes(lost, own, book)
    return facts | found | _families(lost, own, book, changes) | _share_of(found, changes)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _share_of(found: dict[str, Any], changes: int) -> dict[str, Any]:
    return {"dtype_share_of_changes": _share(2 * found["dtype_exchanges"], changes)}


def _other_products(
    lost: Counter[str], own: Counter[str], book: Rulebook, changes: int
) -> dict[str, Any]:
    """Matrix products (with their reductions) that run as other kernels, ATen calls apart."""
    gemm = book.kernels["gemm"]
    missing, extra = (
        sum(n for key, n in each.items() if not key.startswith("aten::") and gemm.search(key))
        for each in (lost, own)
    )
    share = _share(missing + extra, changes)
    return {"gemm_exchanges": min(missing, extra), "gemm_share_of_changes": share}


def _narrow(trace: Trace) -> int:
    """ATen calls that return a narrow dtype."""
    outputs = trace.activities["outputs"].to_pylist()
    return sum(
        any(str(tensor["dtype"]).startswith(NARROW_TENSORS) for tensor in each)
        for each in outputs
        if each
    )


def _other_dtypes(
    lost: Counter[str], own: Counter[str], book: Rulebook
) -> tuple[dict[str, Any], Counter[str], Counter[str]]:
    """Kernels of one side that stand for one of another dtype on the other, and what is left.

    First those whose names are equal but for the dtype, then matrix products of any library.
    """
    missing = Counter({key: n for key, n in lost.items() if not key.startswith("aten::")})
    extra = Counter({key: n for key, n in own.items() if not key.startswith("aten::")})
    found = _exchanged(missing, extra, without_dtypes, dtypes)
    gemm = book.kernels["gemm"]
    products = [Counter({k: n for k, n in each.items() if n and gemm.search(k)}) for each in
                (missing, extra)]  # fmt: skip
    ours, theirs = ({gemm_dtype(key) for key in each} for each in reversed(products))
    if ours.isdisjoint(theirs) and None not in ours | theirs:
        found += _exchanged(missing, extra, lambda key: "" if gemm.search(key) else key, _product)
    narrow = sum(n for pair, n in found.items() if set(pair) & set(NARROW))
    facts: dict[str, Any] = {
        "dtype_exchanges": found.total(),
        "narrow_dtype_exchanges": narrow,
        "wide_dtype_exchanges": found.total() - narrow,
    }
    if found:
        facts["kernel_dtype_of_mock"], facts["kernel_dtype_of_reference"] = max(
            found, key=lambda pair: found[pair]
        )
    return facts, +missing, +extra


def _product(key: str) -> tuple[str, ...]:
    return (gemm_dtype(key) or "",)


def _exchanged(
    missing: Counter[str], extra: Counter[str], group: Any, dtypes_of: Any
) -> Counter[tuple[str, str]]:
    """Launches of one group and other dtypes, by the first (mock's, reference's) that differ.

    What was found is taken out of ``missing`` and ``extra``.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for key in extra:
        groups[group(key)].append(key)
    found: Counter[tuple[str, str]] = Counter()
    for key in list(missing):
        for other in groups.get(group(key), ()):
            pairs = zip(dtypes_of(other), dtypes_of(key), strict=False)
            pair = next((each for each in pairs if each[0] != each[1]), None)
            count = min(missing[key], extra[other])
            if pair is not None and count:
                found[pair] += count
                missing[key] -= count
                extra[other] -= count
    return found


def _families(
    lost: Counter[str], own: Counter[str], book: Rulebook, changes: int
) -> dict[str, Any]:
    """Kernels of one side that stand for one of the same family on the other.

    Elementwise kernels and reductions of torch are apart: nothing tunes them, and their templates
    follow the shapes and strides of what they are given.
    """
    untuned = book.kernels["never tuned"]
    missing, extra = (_by_family(each, untuned.search) for each in (lost, own))
    tuned = {name: min(missing[0][name], extra[0][name]) for name in missing[0] if name in extra[0]}
    exchanged = sum(tuned.values())
    found: dict[str, Any] = {"same_family_exchanges": exchanged}
    found["same_family_share_of_changes"] = _share(2 * exchanged, changes)
    if tuned:
        found["exchanged_family"] = max(tuned, key=lambda name: tuned[name])
    strided = _by_template(lost, own, untuned)
    found["access_exchanges"] = strided.total()
    if strided:
        found["access_of_reference"], found["access_of_mock"] = max(
            strided, key=lambda pair: strided[pair]
        )
    return found


def _by_family(counts: Counter[str], untuned: Any) -> tuple[Counter[str], Counter[str]]:
    """Launches by family: of what may be tuned, and of what never is."""
    found: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for key, count in counts.items():
        if not key.startswith("aten::"):  # an ATen call has no family
            found[bool(untuned(key))][family(key)] += count
    return found


def _by_template(lost: Counter[str], own: Counter[str], untuned: Any) -> Counter[tuple[str, str]]:
    """Functors of torch that another template runs, by (the reference's, the mock's)."""
    groups: dict[str, list[str]] = defaultdict(list)
    left = Counter({key: n for key, n in own.items() if untuned.search(key)})
    for key in left:
        groups[family(key)].append(key)
    found: Counter[tuple[str, str]] = Counter()
    gone = Counter(lost)
    for key in lost:
        for other in groups.get(family(key), ()):
            pair = (template(key), template(other))
            taken = min(gone[key], left[other])
            if pair[0] != pair[1] and taken:
                found[pair] += taken
                left[other] -= taken
                gone[key] -= taken
    return found
