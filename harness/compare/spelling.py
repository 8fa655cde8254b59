"""Two lists of kernels with names that can be compared, where only one of them is mangled."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from harness.names.spelling import spelling_key
from harness.trace import Trace
from harness.trace.schema import ACTIVITIES

MANGLED = "_Z"


def one_spelling(mock: Trace, reference: Trace) -> tuple[Trace, Trace, tuple[str, ...]]:
    """Both Traces with names of one spelling, and a note where names were written anew.

    CUPTI and Nsight Systems give mangled names, torch.profiler demangled ones. Where only one list
    has mangled names, the kernels of both are named as `harness.names.spelling.spelling_key` writes
    them; else both stay as they are.
    """
    mangled = [_mangled(trace) for trace in (mock, reference)]
    if mangled[0] == mangled[1]:
        return mock, reference, ()
    side = "mock" if mangled[0] else "reference"
    note = (
        f"only the {side}'s kernel names are mangled: those of both sides are compared and shown "
        "by one spelling, without namespaces, parameters and return types; kernels that differ "
        "in nothing else count as the same"
    )
    return _spelled(mock), _spelled(reference), (note,)


def _mangled(trace: Trace) -> bool:
    names = trace.of_kind("kernel").activities["name"].cast(pa.string())
    return bool(pc.any(pc.starts_with(names, MANGLED)).as_py())


def _spelled(trace: Trace) -> Trace:
    table = trace.activities
    names = table["name"].cast(pa.string())
    known: list[str | None] = pc.unique(names).to_pylist()
    written = pa.array([None if name is None else spelling_key(name) for name in known])
    anew = written.take(pc.index_in(names, value_set=pa.array(known, pa.string())).combine_chunks())
    kernels = pc.equal(table["kind"].cast(pa.string()), "kernel").combine_chunks()
    kept = pc.if_else(kernels, anew, names.combine_chunks())
    field = ACTIVITIES.field("name")
    place = table.schema.get_field_index("name")
    column = kept.dictionary_encode().cast(field.type)
    return replace(trace, activities=table.set_column(place, field, column))
