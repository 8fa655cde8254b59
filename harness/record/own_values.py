"""Fields of a call whose values each side has of its own, by the name of the field.

A name is the last part of a field's path that is no number, so that ``block_ids.3`` is one of
``block_ids`` and nothing is decided by what stands above it. Shapes, dtypes and lengths of such
fields are compared as those of any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MORE = "<more>"
"""Name of what a container holds beyond the entries that are looked at one by one."""

PLACEMENT = re.compile(
    r"(?:.*_)?(?:block_tables?|slot_mappings?|block_ids|block_idx|req_ids?|req_idx"
    r"|ptrs?|pointers?|address(?:es)?)(?:_(?:tensor|buffer|cpu|gpu|np|per_seq|per_token))*"
    r"|prefix"
)
"""Where something lies in one side's own cache or memory, and names of one side's own requests and
layers (vLLM: ``block_table``, ``slot_mapping``, ``req_id_per_token``, ``prefix``). The whole name
has to match: ``block_table_width`` and ``prefix_lens`` are sizes."""

SCHEDULE = re.compile(r".*schedul.*|num_splits")
"""How a kernel spread its work (DeepGEMM's ``schedule_metadata``, FlashMLA's
``tile_scheduler_metadata``): padding of these tables is not written. Of these the range counts and
not the order."""

PACKED = re.compile(r".*(?:cache|workspace|buffer).*")
"""Memory that is handed over as bytes: where the dtype is of one byte, what it holds are not whole
numbers, and what nobody wrote may be anything."""


def field_name(parts: Sequence[str | int]) -> str:
    """The last part of a path that is a name; empty where all are numbers."""
    names = (str(part) for part in reversed(parts))
    return next((name for name in names if not name.isdigit() and name != MORE), "")


def placed(name: str) -> bool:
    """Whether a field's value says only where one side keeps something."""
    return PLACEMENT.fullmatch(name) is not None


def in_order(name: str) -> bool:
    """Whether the order of whole numbers in a tensor of this name counts."""
    return SCHEDULE.fullmatch(name) is None


def packed(name: str, dtype: str) -> bool:
    """Whether a tensor holds bytes that are no numbers."""
    return dtype in ("uint8", "int8") and PACKED.fullmatch(name) is not None
