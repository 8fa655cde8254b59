"""Differences that were declared in a file, with a reason and an end.

A declaration names kernels, or findings of a check; it never covers what it does not name. After
its expiry, or with other versions, it covers nothing and says so.

    [[known]]
    name = "gather of the positions"         # no two have the same
    kernel = "vectorized_gather_kernel"      # or check, see below
    reason = "the mock gathers cos and sin per call"
    effect = "0.6 % of decode; below the tolerance"
    expires = 2027-03-31                     # or versions with an upper bound, or both
    versions = { vllm = ">=0.26,<0.27" }
    case = { framework = "vllm" }            # optional: only cases whose fields have these values

``kernel`` alone covers that these kernels are launched on one side only, more often, in another
place or beside others: they are taken out of both lists, the checks of `OF_KERNELS` are made again,
and what passes then is ``known``. ``fusion`` becomes known where all that it found are such
kernels. Launch configurations and times of the same kernels are not covered. Kernels that are more
than half of the different names of a side are not taken out: nothing would be left to compare.

``check`` covers findings of that check, and needs what `NEEDS` says:

    check = "launch"                         # other grids, blocks, shared memory, registers
    kernel = "vectorized_gather_kernel"      #   of these kernels only

    check = "data flow"                      # or call parity, graph
    matching = ['rotary_emb in\\.x: .*']      # lines of the report, of a tensor or field also its
                                             #   place alone, whatever it has there

    check = "latency"                        # or numerics, overlap, kernel latency
    most = 0.05                              # ratios up to 1 +- 0.05; numerics: relative L2, and
                                             #   never what is not finite; overlap: share of time;
                                             #   kernel latency: of each launch, with kernel of
                                             #   those that it finds
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.align.declaration import Declaration
from harness.align.declaration_problems import of_declaration, of_fields
from harness.analyze.rules import read_toml
from harness.errors import InputError

__all__ = ["Declaration", "read_known"]


def read_known(path: Path) -> tuple[Declaration, ...]:
    """The declarations of a TOML file; none where it is empty.

    Raises:
        InputError: it cannot be read, or a declaration is not whole; says which and why.
    """
    document = read_toml(path)
    unknown = sorted(document.keys() - {"known"})
    if unknown:
        raise InputError(
            f"{path} has an unknown key {unknown[0]!r}", fix="write only [[known]] tables"
        )
    tables = document.get("known", [])
    if not isinstance(tables, list):
        raise InputError(
            f"{path} has a 'known' that is no list of tables", fix="write [[known]] above each"
        )
    made = tuple(_declaration(table, path, at) for at, table in enumerate(tables, start=1))
    names = [one.name for one in made]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path} declares {name!r} twice", fix="give each a name of its own")
    return made


def _declaration(table: Any, path: Path, number: int) -> Declaration:
    where = f"known difference {number} of {path}"
    problem = next(of_fields(table), None)
    if problem is None:
        made = Declaration(**{**table, "matching": tuple(table.get("matching", ()))})
        problem = next(of_declaration(made), None)
        if problem is None:
            return made
    raise InputError(f"{where} {problem[0]}", fix=problem[1])
