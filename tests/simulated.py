"""Sample streams of a made-up card, with a seed: noise, memory, outliers, drift, allocations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from harness.measure.sequential import Look, Sequential


@dataclass(frozen=True)
class Streams:
    """How samples scatter.

    Attributes:
        noise: standard deviation of a log time.
        memory: autocorrelation of each instance's noise (AR(1)).
        outliers: share of samples that take 1.2 to 3 times as long; of the mock, of the reference.
        common_drift: of both sides from the first block to the last, as a fraction.
        drift: of the mock alone.
        allocation: standard deviation of an instance's log time.
        instances: per side.
        blocks: most that there are.
    """

    noise: float = 0.005
    memory: float = 0.0
    outliers: tuple[float, float] = (0.0, 0.0)
    common_drift: float = 0.0
    drift: float = 0.0
    allocation: float = 0.001
    instances: int = 2
    blocks: int = 1500

    def draw(self, ratio: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Times [blocks, instances] of a mock that takes ``ratio`` times as long, and reference."""
        random, count = np.random.default_rng(seed), self.instances
        logs = random.standard_normal((self.blocks, 2 * count))
        if self.memory:
            logs = lfilter([np.sqrt(1 - self.memory**2)], [1, -self.memory], logs, axis=0)
        logs = self.noise * logs + self.allocation * random.standard_normal(2 * count)
        at = np.linspace(0, 1, self.blocks)[:, None]
        logs += self.common_drift * at
        logs[:, :count] += np.log(ratio) + self.drift * at
        shares = np.repeat(self.outliers, count)
        slow = random.random(logs.shape) < shares
        logs += slow * np.log(random.uniform(1.2, 3, logs.shape))
        times = np.exp(logs)
        return times[:, :count], times[:, count:]

    def decided(self, ratio: float, tolerance: float, seed: int) -> Look:
        """The last look at these streams."""
        mock, reference = self.draw(ratio, seed)
        question, blocks = Sequential(tolerance), 0
        while not question.decided and blocks < self.blocks:
            blocks += 1
            if question.due(blocks) or blocks == self.blocks:
                seen = slice(None, blocks)
                floor = (reference[seen, 1], reference[seen, 0]) if self.instances > 1 else None
                question.look(mock[seen], reference[seen], floor)
        assert question.last is not None
        return question.last
