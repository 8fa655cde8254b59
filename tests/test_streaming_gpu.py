"""Weight streaming on a device: prefetch is seen to hide copies (-m gpu)."""

from __future__ import annotations

import importlib.util

import pytest

from harness.analyze.overlap import overlap
from harness.analyze.streaming import streaming
from tests.gpu_support import ON_DEVICE, ROOT

pytestmark = ON_DEVICE

LAYERS, STEPS = 4, 2


@pytest.fixture(scope="module")
def traces():
    """By whether the run prefetched."""
    import torch

    path = ROOT / "examples" / "two_stream_prefetch.py"
    spec = importlib.util.spec_from_file_location("two_stream_prefetch", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    model = example.StreamedLayers(LAYERS, hidden=4096, slots=2, gemms=6)
    inputs = torch.randn(4096, 4096, dtype=torch.bfloat16, device="cuda")
    return {
        prefetch: example.record(model, inputs, STEPS, prefetch=prefetch)
        for prefetch in (False, True)
    }


def hidden_share(trace):
    rows = overlap(trace).to_pylist()
    (total,) = [row for row in rows if row["range"] is None and row["against"] == "copy HtoD"]
    return total["overlapped_share_of_against"]


def test_prefetch_raises_the_share_of_copies_that_compute_hides(traces):
    assert all(trace.info.complete for trace in traces.values())
    assert hidden_share(traces[False]) < 0.1
    # The first layer of each step has nothing to hide behind, the others have.
    assert hidden_share(traces[True]) > 0.5


def test_prefetch_brings_the_layers_nearer_to_the_ideal(traces):
    without, ahead = (streaming(traces[prefetch]).numbers for prefetch in (False, True))
    assert without["ideal_share_of_actual"] < ahead["ideal_share_of_actual"]
    assert without["layer_instances"] == ahead["layer_instances"] == LAYERS * STEPS


def test_every_layer_is_a_miss_without_prefetch_and_only_the_first_with_it(traces):
    without, ahead = (streaming(traces[prefetch]).numbers for prefetch in (False, True))
    assert (without["hits"], without["misses"]) == (0, LAYERS * STEPS)
    assert (ahead["hits"], ahead["misses"]) == ((LAYERS - 1) * STEPS, STEPS)


def test_each_layer_is_copied_once_a_step_in_the_range_that_brings_it(traces):
    for trace in traces.values():
        for row in streaming(trace).layers.to_pylist():
            assert row["own_bytes"] == 2 * 4096 * 4096 * STEPS
