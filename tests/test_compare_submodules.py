"""Outputs of submodules: what agrees, what differs, and what was not compared and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from harness.align.checks.numerics import numerics
from harness.align.model import Status
from harness.compare.submodules import compare_submodules
from harness.measure.inside import compare_inside
from harness.measure.model import Numerics
from harness.report.markdown import write_markdown
from ops.sides import Side, Sides
from tests.test_checks import observation
from tests.test_report import DIVERGED

SAME = Numerics(0.0, 0.0, True, 1e-2, 1e-3, 0.0, True, 10, "here")
INPUT = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))


class TopK(nn.Module):
    """Indices of the largest; ``turned`` gives them in another order, ``wrong`` other ones."""

    def __init__(self, turned=False, wrong=0):
        super().__init__()
        self.turned, self.wrong = turned, wrong

    def forward(self, scores):
        found = scores.topk(4).indices
        if self.turned:
            found = found.flip(-1)
        if self.wrong:
            found[0, : self.wrong] = -1
        return found


class Layer(nn.Module):
    def __init__(self, topk=None, extra=None, rows=0, noise=()):
        super().__init__()
        torch.manual_seed(0)
        self.proj, self.norm = nn.Linear(16, 16), nn.Linear(16, 16)
        self.topk = topk or TopK()
        self.extra = extra
        self.unused = nn.Linear(2, 2)

    def forward(self, states):
        states = self.norm(self.proj(states))
        self.topk(states)
        return self.extra(states) if self.extra else states


def sides(mock, reference):
    def side(label, module):
        return Side(label, lambda: module(INPUT), module=module)

    with torch.no_grad():
        return Sides(side("mock", mock), side("reference", reference))


def judged(mock, reference=None, found=SAME):
    inside = compare_submodules(sides(mock, reference or Layer()), "here")
    return numerics(observation(numerics=found, submodule_numerics=inside))


def test_that_all_agree_is_said_with_how_many_were_compared():
    check = judged(Layer())
    assert check.status is Status.PASS
    assert "3 of 4 submodules agree; not compared: unused (neither side calls it)" in check.reason
    assert "3 of 4 submodules" in judged(Layer()).reason
    assert check.data["submodules"]["topk"]["bitwise"]


def test_a_submodule_beyond_tolerance_fails_the_check_though_outputs_agree():
    mock = Layer()
    with torch.no_grad():
        mock.proj.weight += 0.1
    check = judged(mock)
    assert check.status is Status.FAIL
    assert check.reason.startswith("outputs agree")
    assert "3 differ: proj (relative L2" in check.reason
    assert check.details[0].startswith("proj differs: relative L2")


def test_a_submodule_of_one_side_alone_is_named():
    check = judged(Layer(), Layer(extra=nn.Identity()))
    assert "extra (the mock has none of this path)" in check.reason
    assert "extra not compared: the mock has none of this path" in check.details
    check = judged(Layer(extra=nn.Identity()))
    assert "extra (the reference has none of this path)" in check.reason


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (replace(SAME, problem="output shapes differ"), Status.FAIL),
        (replace(SAME, reproducible=False, noise=1.0), Status.INCONCLUSIVE),
        (replace(SAME, mismatched=0.5, bitwise=False), Status.FAIL),
        (None, Status.SKIPPED),
    ],
)
def test_submodules_are_told_whatever_the_outputs_say(found, status):
    check = judged(Layer(), found=found)
    assert check.status is status
    assert "3 of 4 submodules agree" in check.reason
    check = judged(Layer(topk=TopK(wrong=2)), found=found)
    assert check.status is Status.FAIL
    assert "1 differ: topk (87.50% of 16 integers" in check.reason


def test_integers_have_to_be_equal_and_their_share_is_said():
    check = judged(Layer(topk=TopK(wrong=1)))
    assert check.status is Status.FAIL
    assert check.details[0].startswith("topk differs: 93.75% of 16 integers equal in place")


def test_a_row_of_indices_may_have_another_order_and_that_is_said():
    check = judged(Layer(topk=TopK(turned=True)))
    assert check.status is Status.PASS
    assert (
        "in another order: topk (0.00% of 16 integers equal in place, every row the same set"
        in (check.reason)
    )


def test_a_side_without_modules_says_that_nothing_was_compared():
    both = sides(Layer(), Layer())
    both.mock.module = None
    inside = compare_submodules(both, "here")
    check = numerics(observation(numerics=SAME, submodule_numerics=inside))
    assert check.reason.endswith(
        "no submodule was compared; not compared: all (the mock is no nn.Module)"
    )


class Buffer(nn.Module):
    """Returns a buffer larger than the call's tokens, as vLLM's indexer does."""

    def __init__(self, stale):
        super().__init__()
        self.buffer = torch.full((32, 4), stale)

    def forward(self, scores):
        self.buffer[: len(scores)] = scores.topk(4).indices
        return self.buffer


def test_rows_of_a_buffer_that_no_call_wrote_are_not_compared():
    check = judged(Layer(topk=Buffer(7)), Layer(topk=Buffer(9)))
    assert check.status is Status.PASS
    assert check.data["submodules"]["topk"]["elements"] == 16


class Routed(nn.Module):
    def forward(self, scores):
        return scores.topk(2)


def test_every_tensor_that_a_submodule_returns_is_compared():
    check = judged(Layer(topk=Routed()), Layer(topk=Routed()))
    assert {"topk", "topk[1]"} <= set(check.data["submodules"])
    assert "3 of 4 submodules agree" in check.reason


def test_the_report_has_the_submodules(tmp_path):
    check = judged(Layer(topk=TopK(wrong=1)))
    write_markdown(replace(DIVERGED, checks=(check,)), tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert "2 of 4 submodules agree" in text
    assert "unused" in text


# a reference that differs from itself


def indices(*changed):
    made = torch.arange(1000).repeat(4, 1)
    for row, place in changed:
        made[row, place] = 5000 + place
    return made


def test_integers_may_differ_by_twice_what_the_reference_differs_from_itself():
    references = [indices(), indices((0, 1), (0, 2)), indices((1, 1))]
    assert compare_inside(indices((2, 0), (2, 1)), references, "here", False).mismatched == 0.0
    many = indices(*((2, place) for place in range(90)))
    found = compare_inside(many, references, "here", False)
    assert found.mismatched > 0.0
    assert not found.left_out
    assert "the reference differs from itself in 0.05%" in found.how


def test_a_near_tie_of_a_reference_that_is_not_repeatable_is_open_and_else_a_difference():
    once = indices((2, 0))
    assert "near-ties" in compare_inside(once, [indices()] * 3, "here", False).left_out
    found = compare_inside(once, [indices()] * 3, "here", True)
    assert found.mismatched == pytest.approx(1 / 4000)
    assert not found.left_out


def test_nothing_is_compared_with_a_reference_that_selects_anew_every_time():
    other = torch.arange(1000, 2000).repeat(4, 1)
    found = compare_inside(indices(), [indices(), other], "here", False)
    assert "differs from itself in 100.00% of the integers" in found.left_out


def test_a_submodule_whose_reference_is_not_repeatable_does_not_fail():
    noisy = [torch.randn(4, 16) for _ in range(3)]
    found = compare_inside(torch.randn(4, 16), noisy, "here", False)
    assert "the reference differs from itself" in found.left_out


def test_outputs_without_a_tolerance_or_a_finite_reference_are_left_out():
    eighth = torch.ones(4).to(torch.float8_e4m3fn)
    assert "no tolerance" in compare_inside(eighth, [eighth], "here", True).left_out
    masked = torch.full((4,), -torch.inf)
    assert "not finite" in compare_inside(masked, [masked], "here", True).left_out


def test_truth_values_are_compared_in_place():
    mask = torch.tensor([[True, False]])
    assert compare_inside(mask.flip(-1), [mask], "here", True).mismatched == 1.0
