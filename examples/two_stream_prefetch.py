"""Stream the weights of a model's layers from host memory, with and without prefetch.

The weights lie in pinned host memory and are copied on a stream of their own into two or more
buffers on the device; the layers' GEMMs run on the compute stream. Without prefetch a layer is
copied when it is needed; with it the next layer is copied while this one computes. Both runs are
recorded; the Trace shows what the ranges are about:

    python examples/two_stream_prefetch.py --out .
    python -m harness.analyze prefetch.parquet --streaming --overlap

Needs an NVIDIA GPU, torch for CUDA 13 and cupti-python.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from harness import region
from harness.record.cupti import CuptiRecorder
from harness.trace import Trace, write_trace


class StreamedLayers:
    """Layers of which only some are on the device at a time.

    Args:
        layers: how many; each is one square matrix of ``hidden`` x ``hidden`` bfloat16 numbers.
        hidden: width of the model.
        slots: how many layers have room on the device; at least 2.
        gemms: how often a layer multiplies, which sets compute against copies.
    """

    def __init__(self, layers: int, hidden: int, slots: int, gemms: int) -> None:
        if not 2 <= slots <= layers:
            raise SystemExit("--slots has to be from 2 to the number of layers")
        scale = hidden**-0.5
        self.host = [
            (torch.randn(hidden, hidden) * scale).bfloat16().pin_memory() for _ in range(layers)
        ]
        self.slots = [
            torch.empty(hidden, hidden, dtype=torch.bfloat16, device="cuda") for _ in range(slots)
        ]
        self.gemms = gemms
        self.copying = torch.cuda.Stream()
        self.where: dict[int, int] = {}  # layer -> slot, in the order in which they were brought
        self.arrived = [torch.cuda.Event() for _ in range(slots)]
        self.used = [torch.cuda.Event() for _ in range(slots)]  # the slot's last reader is done

    def forget(self) -> None:
        """Leave no layer on the device."""
        torch.cuda.synchronize()
        self.where.clear()

    def forward(self, hidden: torch.Tensor, *, prefetch: bool) -> torch.Tensor:
        """All layers once; nothing here waits on the host."""
        for layer in range(len(self.host)):
            with region(f"ensure_layer_{layer}"):
                slot = self._ensure(layer)
            with region(f"layer_{layer}"):
                torch.cuda.current_stream().wait_event(self.arrived[slot])
                # Before this layer's launches, so that the copy begins while it computes.
                following = layer + 1
                if prefetch and following < len(self.host) and following not in self.where:
                    with region(f"prefetch_{following}"):
                        self._bring(following, keep=layer)
                for _ in range(self.gemms):
                    hidden = hidden @ self.slots[slot]
                self.used[slot].record()
        return hidden

    def _ensure(self, layer: int) -> int:
        if layer in self.where:
            with region(f"cache_hit_{layer}"):
                return self.where[layer]
        with region(f"cache_miss_{layer}"), region(f"h2d_transfer_{layer}"):
            return self._bring(layer, keep=layer - 1, after_compute=True)

    def _bring(self, layer: int, keep: int, *, after_compute: bool = False) -> int:
        """Copy a layer into a free slot on the copy stream; returns the slot.

        Args:
            keep: the layer that may not be evicted for it.
            after_compute: the copy waits for all compute so far, as one that is asked for only when
                the layer is needed.
        """
        slot = self._free_slot(keep)
        if after_compute:
            self.copying.wait_stream(torch.cuda.current_stream())
        self.copying.wait_event(self.used[slot])
        with torch.cuda.stream(self.copying):
            self.slots[slot].copy_(self.host[layer], non_blocking=True)
            self.arrived[slot].record()
        self.where[layer] = slot
        return slot

    def _free_slot(self, keep: int) -> int:
        taken = set(self.where.values())
        free = [slot for slot in range(len(self.slots)) if slot not in taken]
        if free:
            return free[0]
        oldest = next(layer for layer in self.where if layer != keep)
        with region(f"evict_{oldest}"):  # the weights are unchanged: nothing is copied back
            return self.where.pop(oldest)


def record(model: StreamedLayers, inputs: torch.Tensor, steps: int, *, prefetch: bool) -> Trace:
    """Record ``steps`` forwards that begin with no layer on the device."""
    model.forward(inputs, prefetch=prefetch)  # warm-up: cuBLAS picks its kernels
    model.forget()
    with CuptiRecorder(apis="all").record() as recording:
        for step in range(steps):
            with region(f"step_{step}"):
                model.forward(inputs, prefetch=prefetch)
    return recording.trace


def main() -> None:
    """Record both runs into ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=8192, help="a layer has hidden^2 weights")
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--gemms", type=int, default=4, help="per layer")
    parser.add_argument("--slots", type=int, default=2, help="layers with room on the device")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the Traces")
    given = parser.parse_args()
    model = StreamedLayers(given.layers, given.hidden, given.slots, given.gemms)
    inputs = torch.randn(given.tokens, given.hidden, dtype=torch.bfloat16, device="cuda")
    for name, prefetch in (("no_prefetch", False), ("prefetch", True)):
        trace = record(model, inputs, given.steps, prefetch=prefetch)
        print(name, trace, write_trace(trace, given.out / f"{name}.parquet"))


if __name__ == "__main__":
    main()
