"""Traces of the ranks of one run, a file each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.record.files.kineto.info import rank_of
from harness.record.files.kineto.reader import RANGES, read_with_header
from harness.trace import Trace


@dataclass(frozen=True)
class RankTrace:
    """The Trace of one rank.

    Attributes:
        rank: of torch.distributed; None where the file does not say.
        world_size: number of ranks of the run; None as well.
        path: the file.
        trace: what it holds.
    """

    rank: int | None
    world_size: int | None
    path: Path
    trace: Trace


def read_kineto_rank(path: str | Path, *, ranges: Collection[str] = RANGES[:1]) -> RankTrace:
    """As `harness.record.files.kineto.read_kineto`, with the rank that the file is of."""
    trace, header = read_with_header(Path(path), ranges)
    return RankTrace(*rank_of(header), Path(path), trace)


def read_kineto_ranks(
    paths: Iterable[str | Path], *, ranges: Collection[str] = RANGES[:1]
) -> list[RankTrace]:
    """Read one file per rank, in the order of the ranks; files that name none come last.

    Raises:
        InputError: two files are of the same rank; else as `read_kineto`.
    """
    found = [read_kineto_rank(path, ranges=ranges) for path in paths]
    known: dict[int, Path] = {}
    for one in found:
        if one.rank is not None and known.setdefault(one.rank, one.path) is not one.path:
            raise InputError(
                f"{known[one.rank]} and {one.path} are both of rank {one.rank}",
                fix="pass the files of one run, one per rank",
            )
    return sorted(found, key=lambda one: (one.rank is None, one.rank or 0))
