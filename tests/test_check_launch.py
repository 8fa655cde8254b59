"""Launch: what one side does not know of a pair is no difference, and no agreement either."""

from __future__ import annotations

from harness.align.checks.launch import launch
from harness.align.model import Status
from tests.check_support import forwards, observed, sequence

NAMES = ("a", "b", "c")
KNOWN = {"cluster": [1, 1, 1], "registers": 32, "shared_static_bytes": 0, "shared_dynamic_bytes": 0}


def test_a_field_that_one_side_does_not_know_is_not_compared_and_named():
    mock = sequence(NAMES, **{**KNOWN, "cluster": None})
    result = launch(observed(forwards(mock), forwards(sequence(NAMES, **KNOWN))))
    assert result.status is Status.PASS
    assert result.reason.endswith("not compared, as a side does not know it: cluster")
    assert result.data["not_compared"] == {"cluster": [3, 3]}


def test_a_field_that_is_known_of_some_pairs_is_compared_there():
    mock, reference = sequence(NAMES, **KNOWN), sequence(NAMES, **KNOWN)
    mock[0] |= {"cluster": None, "registers": None}
    mock[1]["cluster"] = [2, 1, 1]
    result = launch(observed(forwards(mock), forwards(reference)))
    assert result.status is Status.FAIL
    assert result.details == ("b: cluster [2, 1, 1] against [1, 1, 1]",)
    assert "cluster in 1 of 3 pairs, registers in 1 of 3 pairs" in result.reason


def test_nothing_known_on_both_sides_skips_the_check():
    nothing = sequence(NAMES, grid=None, block=None)
    for reference in (nothing, sequence(NAMES, **KNOWN)):
        result = launch(observed(forwards(nothing), forwards(reference)))
        assert result.status is Status.SKIPPED
        assert "of none of 3 matched pairs" in result.reason


def test_copies_have_no_configuration_that_could_be_unknown():
    copy = {"kind": "memcpy", "name": "DtoD", "bytes": 8, "grid": None, "block": None}
    launches = [*sequence(NAMES, **KNOWN), {**sequence(["x"])[0], **copy}]
    result = launch(observed(forwards(launches), forwards(launches)))
    assert result.reason == "the same launch configurations in 3 matched pairs"


def test_equal_differences_are_one_line_with_a_count_in_the_order_of_the_lists():
    names = ("a", "b", "a", "b", "a")
    mock = sequence(names, grid=[4, 1, 1])
    mock[1]["block"] = [64, 1, 1]
    result = launch(observed(forwards(mock), forwards(sequence(names))))
    assert result.details == (
        "a: grid [4, 1, 1] against [8, 1, 1]; 3 times",
        "b: grid [4, 1, 1] against [8, 1, 1]; block [64, 1, 1] against [128, 1, 1]",
        "b: grid [4, 1, 1] against [8, 1, 1]",
    )
    assert "in 5 of 5 matched pairs" in result.reason


def test_tensors_of_aten_calls_are_compared_by_shape_stride_and_dtype():
    def call(columns: int) -> list[dict[str, object]]:
        tensor = {"shape": [4, columns], "stride": [columns, 1], "dtype": "bf16", "device": "meta"}
        return [{"kind": "op", "name": "aten::mm", "inputs": [tensor], "outputs": [tensor],
                 "grid": None, "block": None}]  # fmt: skip

    assert launch(observed(forwards(call(8)), forwards(call(8)))).status is Status.PASS
    result = launch(observed(forwards(call(8)), forwards(call(16))))
    assert result.status is Status.FAIL
    assert "inputs bf16[4, 8] against bf16[4, 16]" in result.details[0]
