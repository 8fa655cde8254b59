"""Changes that must not be seen: one function per ``plant`` of the ``[[neutral]]`` tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.mutation_plants import Plant, altered
from harness.compare.pipeline import Job
from harness.record.regions import region
from ops.sides import Side, Sides


def other_seed(job: Job) -> Job:
    """Both sides get other weights, the same for both."""

    def change(sides: Sides) -> Sides:
        import torch

        with torch.inference_mode():
            for name, weight in sides.reference.weights.items():
                if not weight.is_meta:
                    weight.mul_(-1)
                    sides.mock.weights[name].copy_(weight)
        return sides

    return altered(job, change)


def other_allocation(job: Job) -> Job:
    """Memory is taken after the sides were built, and kept."""
    held: list[Any] = []

    def change(sides: Sides) -> Sides:
        import torch

        device = next(iter(sides.mock.weights.values())).device
        held.append(torch.empty(64 << 20, dtype=torch.uint8, device=device))
        return sides

    return altered(job, change)


def other_stream(job: Job) -> Job:
    """The mock runs on a stream that is not the current one, and is waited for."""

    def moved(side: Side) -> Callable[[], Any]:
        import torch

        stream = torch.cuda.Stream()

        def call() -> Any:
            if torch.cuda.is_current_stream_capturing():
                return side.call()  # capture has a stream of its own already
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                result = side.call()
            torch.cuda.current_stream().wait_stream(stream)
            return result

        return call

    return altered(job, lambda s: replace(s, mock=replace(s.mock, call=moved(s.mock))))


def other_region_name(job: Job) -> Job:
    """The mock opens a region around itself."""

    def named(side: Side) -> Callable[[], Any]:
        def call() -> Any:
            with region("a region of the mock"):
                return side.call()

        return call

    return altered(job, lambda s: replace(s, mock=replace(s.mock, call=named(s.mock))))


def other_process(job: Job) -> Job:
    """Nothing: `benchmarks.mutations` runs it in a process of its own."""
    return job


def more_warmup(job: Job) -> Job:
    """The mock has been called seven times before anything is looked at."""

    def change(sides: Sides) -> Sides:
        for _ in range(7):
            sides.mock.reset()
            with sides.mock.context():
                sides.mock.call()
        sides.mock.reset()
        return sides

    return altered(job, change)


def exchanged(job: Job) -> Job:
    """The reference stands as the mock, and the mock as the reference."""

    def change(sides: Sides) -> Sides:
        mock = replace(sides.reference, label="mock")
        reference = replace(sides.mock, label="reference")
        return replace(sides, mock=mock, reference=reference, in_layer=None)

    return altered(job, change)


WORK = (
    "import time, torch; torch.set_num_threads(1)\n"
    "d = 'cuda' if torch.cuda.is_available() else 'cpu'\n"
    "a = torch.ones(256, 256, device=d); end = time.time() + 120\n"
    "while time.time() < end: (a @ a).sum().item(); time.sleep(0.05)"
)
"""A process that multiplies a small matrix 20 times a second."""


def unrelated_work(job: Job) -> Job:
    """Another process works on the same card."""
    children: list[subprocess.Popen[bytes]] = []

    def change(sides: Sides) -> Sides:
        if not children:
            children.append(subprocess.Popen([sys.executable, "-c", WORK]))
        inner = sides.close

        def close() -> None:
            inner()
            while children:
                child = children.pop()
                child.terminate()
                child.wait()

        return replace(sides, close=close)

    return altered(job, change)


BY_NAME: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        other_seed, other_allocation, other_stream, other_region_name, other_process, more_warmup,
        exchanged, unrelated_work,
    )
}  # fmt: skip
