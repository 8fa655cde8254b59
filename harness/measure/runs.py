"""Times of runs: one mean over all of them, as collectors take it, and a figure for each."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Run = Callable[[], object]

FEWEST_FOR_INTERVAL = 6
"""Of five samples even the whole range covers the median in less than 95 % of all cases."""


@dataclass(frozen=True)
class RunTimes:
    """What the runs took, in milliseconds per run.

    Attributes:
        mean_ms: from before the first run to after the last, gaps between them included, divided
            by their number.
        samples_ms: of each run by itself.
    """

    mean_ms: float
    samples_ms: tuple[float, ...]

    def per_call(self, calls: int) -> RunTimes:
        """The same in milliseconds per call, of which a run makes ``calls``."""
        return RunTimes(self.mean_ms / calls, tuple(sample / calls for sample in self.samples_ms))


def time_cuda_runs(run: Run, runs: int) -> RunTimes:
    """Time runs on the current stream with CUDA events.

    The runs are made twice: once without anything between them, which is the mean, and once
    between events of their own. Events between them would lengthen the gaps of short runs.
    """
    start, end = _event(), _event()
    start.record()
    for _ in range(runs):
        run()
    end.record()
    pairs = [(_event(), _event()) for _ in range(runs)]
    for begin, done in pairs:
        begin.record()
        run()
        done.record()
    pairs[-1][1].synchronize()
    samples = tuple(float(begin.elapsed_time(done)) for begin, done in pairs)
    return RunTimes(float(start.elapsed_time(end)) / runs, samples)


def time_host_runs(run: Run, runs: int) -> RunTimes:
    """Time runs with the host's clock, for work on the CPU."""
    stamps = [time.perf_counter_ns()]
    for _ in range(runs):
        run()
        stamps.append(time.perf_counter_ns())
    samples = tuple((b - a) / 1e6 for a, b in itertools.pairwise(stamps))
    return RunTimes((stamps[-1] - stamps[0]) / 1e6 / runs, samples)


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the samples' median by order statistics; None of fewer than six.

    Source: scipy.stats.quantile_test (Conover, Practical Nonparametric Statistics, 1999, 3.2).

    Raises:
        ImportError: scipy is not installed.
    """
    if len(samples) < FEWEST_FOR_INTERVAL:
        return None
    from scipy import stats

    found = stats.quantile_test(list(samples), p=0.5).confidence_interval(0.95)
    return float(found.low), float(found.high)


def _event() -> torch.cuda.Event:
    import torch

    return torch.cuda.Event(enable_timing=True)
