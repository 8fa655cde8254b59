"""Traces of torch.profiler (Kineto)."""

from harness.record.files.kineto.merge import merge_ranks
from harness.record.files.kineto.ranks import RankTrace, read_kineto_rank, read_kineto_ranks
from harness.record.files.kineto.reader import RANGES, read_kineto

__all__ = [
    "RANGES",
    "RankTrace",
    "merge_ranks",
    "read_kineto",
    "read_kineto_rank",
    "read_kineto_ranks",
]
