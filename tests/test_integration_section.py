"""What a report says to whoever takes an operator into a database."""

from __future__ import annotations

from benchmarks.mutation_edits import observed, pair, recorded
from harness.align.integration import kernel_source
from harness.align.known import Declaration
from harness.align.model import Alignment, KernelRow, Verdict
from harness.compare.files import FilesRecorder
from harness.compare.judged import judged
from harness.compare.options import Options
from harness.compare.pipeline import conclude
from harness.report.evidence import evidence
from harness.report.markdown import markdown
from ops.dsa import KERNEL_PATTERNS
from tests.test_known import DECLARED, TODAY, with_gather


def aligned() -> Alignment:
    options = Options("", FilesRecorder())
    return conclude(observed(recorded(), pair=pair(1.0)), options, {"op": "dsa"}).alignment


def test_the_label_names_the_kernels_that_are_the_operator():
    label = aligned().integration.kernel_source
    assert label.split("+")[0] == "sparse_attn_fwd"
    assert len(label.split("+")) == 3


def test_a_list_of_aten_calls_gives_no_label():
    assert kernel_source([KernelRow("aten::mm", "mm", "op", 3, 3, None, None, "=")], {}) == ""


def test_without_patterns_the_longest_kernels_name_the_operator():
    rows = [
        KernelRow("nvjet_sm90_tst_64x8_64x16", "", "kernel", 1, 1, 90.0, 90.0, "="),
        KernelRow("small_kernel", "", "kernel", 1, 1, 1.0, 1.0, "="),
    ]
    assert kernel_source(rows, {}) == "nvjet_sm90_tst"
    assert kernel_source(rows, {"x": "small"}) == "small+nvjet_sm90_tst"
    assert KERNEL_PATTERNS


def test_an_untimed_alignment_concludes_nothing_of_the_numbers():
    found = judged(observed(recorded()), {}, (), {})
    assert found.judgement.verdict is Verdict.ALIGNED
    assert "times were not compared" in found.integration.conclusion


def test_corrections_are_the_advice_of_first_causes_each_once():
    from benchmarks.mutation_edits import other_tile

    corrections = judged(other_tile(), {}, (), {}).integration.corrections
    assert [line.split(":")[0] for line in corrections] == ["autotuner not run"]


def test_the_report_shows_conclusion_label_known_differences_and_corrections():
    far = Declaration(**{**vars(DECLARED), "expires": TODAY.replace(year=2100)})
    options = Options("", FilesRecorder(), known=(far,))
    alignment = conclude(with_gather(), options, {"op": "x"}).alignment
    text = markdown(alignment)
    assert alignment.verdict is Verdict.ALIGNED
    assert "## Integration" in text
    assert "| gather | kernel vectorized\\_gather" in text.replace(
        "vectorized_gather", "vectorized\\_gather"
    )
    assert "but for known differences: gather (0.6 %)" in text
    document = evidence(alignment)
    assert document["known"][0]["state"] == "met"
    assert document["integration"]["conclusion"]
