"""Declared differences: what they cover, what they do not, and when they end."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.align.apply_known import apply_known
from harness.align.judge import judge, verdict_of
from harness.align.known import Declaration, read_known
from harness.align.model import Status, Verdict
from harness.errors import InputError
from harness.measure.model import GraphTopology
from tests.test_checks import GEMM, TOPK, observation, pair, side

GATHER = "_ZN2at6native24vectorized_gather_kernelILi16ElEEvPcS2_PT0_illllb"
TODAY = date(2026, 12, 1)
ENTRY = """
[[known]]
name = "gather"
kernel = "vectorized_gather"
reason = "the mock gathers cos and sin"
effect = "0.6 % of decode"
expires = 2027-03-31
"""
DECLARED = Declaration("gather", "gathers", "0.6 %", kernel="vectorized_gather", expires=TODAY)


def applied(observed, *declared: Declaration, today: date = TODAY, versions=None, case=None):
    checks = judge(observed).checks
    return apply_known(observed, checks, declared, case or {}, versions or {}, today)


def with_gather(**changes):
    return observation(mock=side("mock", GATHER, GEMM, TOPK), **changes)


def failing(checks) -> set[str]:
    return {check.name for check in checks if check.status is Status.FAIL}


def test_a_declared_kernel_turns_its_failures_into_known_and_the_verdict_into_aligned():
    observed = with_gather()
    checks, (shown,) = applied(observed, DECLARED)
    assert failing(checks) == set()
    assert {c.name for c in checks if c.status is Status.KNOWN} >= {"names", "counts", "extra"}
    assert shown.state == "met"
    assert verdict_of(observed, checks)[0] is Verdict.ALIGNED


def test_what_is_not_declared_still_fails_beside_it():
    observed = observation(mock=side("mock", GATHER, GEMM))
    checks, _ = applied(observed, DECLARED)
    assert "missing" in failing(checks)
    assert verdict_of(observed, checks)[0] is Verdict.DIVERGED


def test_an_expired_declaration_fails_again_and_says_so():
    checks, (shown,) = applied(with_gather(), DECLARED, today=date(2026, 12, 2))
    names = next(check for check in checks if check.name == "names")
    assert names.status is Status.FAIL
    assert "gather: expired on 2026-12-01" in names.reason
    assert shown.state == "expired"


def test_a_declaration_of_other_versions_covers_nothing():
    tied = replace(DECLARED, versions={"vllm": ">=0.26,<0.27"})
    for versions in ({"vllm": "0.27.1"}, {}):
        checks, (shown,) = applied(with_gather(), tied, versions=versions)
        assert "names" in failing(checks)
        assert shown.state == "other versions"
    checks, _ = applied(with_gather(), tied, versions={"vllm": "0.26.3"})
    assert failing(checks) == set()


def test_a_declaration_of_another_case_is_not_shown():
    other = replace(DECLARED, case={"framework": "vllm"})
    checks, shown = applied(with_gather(), other, case={"framework": "transformers"})
    assert shown == ()
    assert "names" in failing(checks)


def test_a_declared_node_is_taken_out_of_the_graph_and_its_neighbours_joined():
    whole = GraphTopology(
        (("kernel", GATHER), ("kernel", GEMM), ("kernel", TOPK)), ((0, 1), (1, 2))
    )
    short = GraphTopology((("kernel", GEMM), ("kernel", TOPK)), ((0, 1),))
    observed = with_gather()
    observed = replace(
        observed,
        mock=replace(observed.mock, recorded_topology=whole),
        reference=replace(observed.reference, recorded_topology=short),
    )
    checks, _ = applied(observed, DECLARED)
    assert next(check for check in checks if check.name == "graph").status is Status.KNOWN


def test_a_declared_latency_covers_only_what_it_allows():
    slow = Declaration("slow", "r", "e", check="latency", most=0.05, expires=TODAY)
    known, _ = applied(observation(pair=pair(1.03, (1.029, 1.031))), slow)
    assert next(c for c in known if c.name == "latency").status is Status.KNOWN
    slower, (shown,) = applied(observation(pair=pair(1.08, (1.079, 1.081))), slow)
    assert "latency" in failing(slower)
    assert shown.state == "not met"


def test_a_file_is_read(tmp_path: Path):
    path = tmp_path / "known.toml"
    path.write_text(ENTRY)
    (one,) = read_known(path)
    assert (one.kernel, one.expires) == ("vectorized_gather", date(2027, 3, 31))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('reason = "the mock gathers cos and sin"', "needs name, reason and effect"),
        ("expires = 2027-03-31", "needs an end"),
        ('kernel = "vectorized_gather"', "needs a kernel or a check"),
    ],
)
def test_a_declaration_that_is_not_whole_is_refused_by_number(tmp_path: Path, change, said):
    path = tmp_path / "known.toml"
    key = change.split(" = ")[0]
    text = 'reason = ""' if key == "reason" else ""
    path.write_text(ENTRY.replace(change, text))
    with pytest.raises(InputError, match=f"known difference 1 .*{said}"):
        read_known(path)


@pytest.mark.parametrize(
    "line",
    ['kernel = "("', 'expires = "soon"', "surprise = 1", 'check = "nothing"', "name = 3"],
)
def test_what_cannot_be_used_is_an_input_error(tmp_path: Path, line):
    key = line.split(" = ")[0]
    kept = [each for each in ENTRY.splitlines() if not each.startswith(f"{key} ")]
    path = tmp_path / "known.toml"
    path.write_text("\n".join([*kept, line]))
    with pytest.raises(InputError):
        read_known(path)
