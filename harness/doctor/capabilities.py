"""What the harness can do, and which findings each part of it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.doctor.model import LIVE_RECORDING, Capability, Finding

_DEVICE = ("torch", "driver", "driver and CUDA", "CUDA device")
_LIVE = (
    "Python", "dependencies", *_DEVICE, "cupti-python", "cuda-bindings", "libcupti",
    "libcupti version", "record layouts", "other profilers", "CUPTI subscription",
    "live self-test",
)  # fmt: skip

NEEDS: Mapping[str, Sequence[str]] = {
    LIVE_RECORDING: _LIVE,
    "recorder kineto": (*_DEVICE, "torch.profiler"),
    "recorder dispatch": ("Python", "dependencies", "torch"),
    "regions shown to nsys as NVTX": ("nvtx", "nsys"),
    "NVTX ranges of another script": (*_LIVE, "NVTX to CUPTI"),
    "clocks and conditions": (*_DEVICE, "NVML", "conditions", "NVML devices"),
    "energy": (*_DEVICE, "NVML", "NVML devices", "energy counter"),
    "nodes of CUDA graphs": (*_DEVICE, "cuda-bindings"),
    "nsys as second witness": (*_DEVICE, "nsys"),
    "ncu": (*_DEVICE, "ncu", "counters"),
}
"""Capability -> findings, in the order in which what they ask for is to be dealt with."""


def capabilities(
    findings: Sequence[Finding], frameworks: Sequence[str] = ()
) -> tuple[Capability, ...]:
    """Whether each part would work here.

    Args:
        findings: of all checks.
        frameworks: names of those that can build an operator; each is a finding too.
    """
    known = {finding.name: finding for finding in findings}
    needs = {**NEEDS, **{f"framework {name}": (name,) for name in frameworks}}
    return tuple(
        Capability(name, _blockers([known[need] for need in needed]))
        for name, needed in needs.items()
    )


def _blockers(needed: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those that are in the way; without those that only follow from another, if there is one."""
    blocking = [finding for finding in needed if finding.blocks]
    return tuple(one for one in blocking if one.fix) or tuple(blocking)
