"""Further instances of both sides: built again by the adapters, with the same weights."""

from dataclasses import replace

import pytest
import torch

from harness.compare.pipeline import Job
from harness.errors import InputError
from ops.adapters.again import with_another
from ops.registry import adapter, operator
from ops.sides import Side, Sides
from tests.conftest import GENERATION


@pytest.fixture(scope="module")
def job():
    op, case, _ = operator("dsa").reduce_for_cpu(GENERATION)
    return Job(op, case, adapter("transformers"))


def output(side):
    side.reset()
    with side.context():
        found = side.output(side.call()).clone()
    side.reset()
    return found


def test_sides_built_again_have_the_same_weights_and_outputs_in_other_memory(job):
    first = job.build("cpu")
    with torch.no_grad():  # a weight that was changed after building is taken over as it is
        next(iter(first.mock.weights.values())).mul_(1.5)
    other = first.another()
    for one, again in ((first.mock, other.mock), (first.reference, other.reference)):
        assert one.weights.keys() == again.weights.keys()
        for name, tensor in one.weights.items():
            assert torch.equal(tensor, again.weights[name])
            assert tensor.data_ptr() != again.weights[name].data_ptr()
    assert torch.equal(output(first.reference), output(other.reference))


def test_what_is_planted_in_the_first_instance_is_planted_in_the_others(job):
    def relabelled(sides):
        return replace(sides, mock=replace(sides.mock, describe="planted"))

    sides = replace(job, altered=relabelled).build("meta")
    assert sides.mock.describe == "planted"
    assert sides.another().mock.describe == "planted"


def made(**shapes):
    weights = {name: torch.ones(shape) for name, shape in shapes.items()}
    return Sides(Side("mock", lambda: None, weights=weights), Side("reference", lambda: None))


def test_sides_that_come_out_differently_are_refused_and_closed():
    closed, built = [], iter([made(a=3, b=2), made(a=3, b=4)])

    def build():
        sides = next(built)
        sides.close = lambda: closed.append(sides)
        return sides

    with pytest.raises(InputError, match="b of the mock are not built again as they were"):
        with_another(build).another()
    assert len(closed) == 1


def test_weights_made_in_inference_mode_can_be_taken_over():
    def build():
        with torch.inference_mode():
            return made(a=3)

    first = with_another(build)
    assert torch.equal(first.another().mock.weights["a"], torch.ones(3))
