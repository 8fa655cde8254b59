"""Reports show what an alignment holds, in order, whole, and compute nothing."""

import json
import math
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from harness.align.model import Alignment, CheckResult, KernelRow, Status, Verdict
from harness.errors import InputError
from harness.measure.model import GraphTopology, Measurement
from harness.names import display_name
from harness.record.dataflow import Flow, TensorSpec
from harness.report.environment import command_line, environment, steering_variables
from harness.report.evidence import (
    evidence,
    verify_evidence,
    write_evidence,
    write_evidence_document,
)
from harness.report.markdown import cell, code, markdown, write_markdown
from harness.report.private import without_paths
from harness.report.side import side_json
from harness.report.terminal import print_alignment, print_summary
from harness.trace import Trace, TraceInfo, activities_table, regions_table

# Recorded on an H200 (vLLM DSA layer, nsys 2025.3).
LOGITS = (
    "_ZN9deep_gemm25sm90_fp8_paged_mqa_logitsILj1ELj64ELj128ELj64ELb1ELb0ELj3ELj3ELj256ELj128ELj5"
    "12ELj1EfEEvjjjPKjPT11_S2_S2_S2_14CUtensorMap_stS5_S5_S5_"
)
CACHE = (
    "_ZN4vllm27concat_and_cache_mla_kernelI13__nv_bfloat16S1_LNS_18Fp8KVCacheDataTypeE0EEEvPKT_S5"
    "_PT0_PKliiiiiiiPKf"
)
POW = (
    "_ZN2at6native29vectorized_elementwise_kernelILi4EZNS0_51_GLOBAL__N__b1108092_12_PowKernel_cu"
    "_751192d7_2139629pow_tensor_scalar_kernel_implIffEEvRNS_18TensorIteratorBaseET0_EUlfE_St5arr"
    "ayIPcLm2EEEEviS6_T1_"
)
POW_REBUILT = POW.replace("751192d7_21396", "398dda3b_22242")
NVJET = "nvjet_sm90_tst_256x8_64x6_2x1_v_bz_splitK_TNT"
HOSTILE = "[bold red]kern|el`[/nope]:smile:[link=x]\n\x1b[31m"

CASE = {
    "op": "dsa",
    "phase": "generation",
    "tp": 8,
    "batch_size": 8,
    "seq_len": 1,
    "kv_len": 4096,
    "dtype": "bfloat16",
    "framework": "vllm",
}


def kernel(name, mock=4, reference=4, us=12.5, kind="kernel"):
    match = "=" if mock == reference else "#" if mock and reference else "+" if mock else "-"
    mock_us = us if mock and us is not None else None
    return KernelRow(name, display_name(name, kind), kind, mock, reference, mock_us, us, match)


CHECKS = (
    CheckResult("names", Status.FAIL, "2 names against 3", ("missing: nvjet x1", "extra: f x2")),
    CheckResult("counts", Status.PASS, "8 in the mock", ("hidden detail",)),
    CheckResult("order", Status.SKIPPED, "no streams"),
    CheckResult("launch", Status.KNOWN, "grid differs, declared: heads are padded"),
    CheckResult(
        "latency",
        Status.INCONCLUSIVE,
        "interval wider than the tolerance",
        data={"ratio": 1.0008, "ci95": [1.0002, 1.0016]},
    ),
)
DIVERGED = Alignment(
    case=CASE,
    verdict=Verdict.DIVERGED,
    summary="names failed; names: 2 names against 3",
    checks=CHECKS,
    kernels=(kernel(LOGITS, us=170.25), kernel(CACHE), kernel(NVJET, mock=0)),
    recorder="cupti",
    recorder_reason="live kernels on the CUDA device",
    framework_reason="vllm 0.26.0 is installed",
    environment={"python": "3.11", "versions": {"torch": "2.11"}},
    notes=("both sides share only: weights: 12 tensors",),
)


def printed(alignment, width=140, **console):
    out = StringIO()
    print_alignment(alignment, Console(width=width, file=out, **console))
    return out.getvalue()


def test_a_report_starts_with_the_recorder_and_ends_with_the_verdict():
    lines = [line.rstrip() for line in printed(DIVERGED).splitlines()]
    assert lines[0] == "recorder: cupti (live kernels on the CUDA device)"
    assert lines[1] == "framework: vllm 0.26.0 is installed"
    assert lines[2].startswith("case: dsa generation, tp 8, batch 8, 1 new token per request")
    assert lines[-1] == "VERDICT diverged: names failed; names: 2 names against 3"


def test_a_report_has_its_parts_in_order():
    text = printed(DIVERGED)
    parts = ["recorder:", "framework:", "case:", "kernel ", "sm90_fp8", "names ", "note:"]
    places = [text.index(part) for part in [*parts, "VERDICT"]]
    assert places == sorted(places)
    assert text.count("VERDICT") == 1


def test_every_check_is_shown_with_status_and_reason():
    text = printed(DIVERGED)
    for check in CHECKS:
        assert re.search(rf"^{check.name} +{check.status} +{re.escape(check.reason)}", text, re.M)


def test_details_stand_under_failed_checks_only():
    lines = printed(DIVERGED).splitlines()
    failed = next(i for i, line in enumerate(lines) if line.startswith("names"))
    assert lines[failed + 1].strip() == "missing: nvjet x1"
    assert lines[failed + 1].startswith(" ")
    assert "hidden detail" not in printed(DIVERGED)


def test_many_details_are_limited():
    check = CheckResult("names", Status.FAIL, "many", tuple(f"missing: k{i}" for i in range(50)))
    text = printed(replace(DIVERGED, checks=(check,)))
    assert text.count("missing: k") == 10
    assert "and 40 more" in text


@pytest.mark.parametrize("width", [40, 80, 140])
def test_no_line_is_wider_than_the_console(width):
    wide = replace(
        DIVERGED,
        kernels=tuple(map(kernel, (LOGITS, CACHE, POW, POW_REBUILT, NVJET, "x" * 400))),
        summary="because " * 40,
        notes=("n" * 300,),
    )
    lines = printed(wide, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "VERDICT diverged: because" in "\n".join(lines)


def test_times_and_counts_of_both_sides_stand_beside_a_kernel():
    line = next(line for line in printed(DIVERGED).splitlines() if "paged_mqa_logits" in line)
    assert line.split()[-5:] == ["170.2", "4", "170.2", "4", "="]
    missing = next(line for line in printed(DIVERGED).splitlines() if "nvjet_sm90" in line)
    assert missing.split()[-5:] == ["-", "0", "12.50", "4", "-"]


def test_a_recorder_without_times_gets_no_columns_for_them():
    ops = (kernel("aten::add.Tensor", 3, 3, None, "op"), kernel("aten::mm", 1, 2, None, "op"))
    lines = printed(replace(DIVERGED, kernels=ops, recorder="dispatch")).splitlines()
    heading = next(line for line in lines if line.startswith("op "))
    assert "us" not in heading
    assert next(line for line in lines if "aten::mm" in line).split()[-3:] == ["1", "2", "#"]


def test_a_long_table_says_what_it_leaves_out_and_where_that_is():
    ops = tuple(kernel(f"aten::op{i}.default", 1, 1, None, "op") for i in range(166))
    text = printed(replace(DIVERGED, kernels=ops))
    assert text.count("aten::op") == 40
    assert "126 more names are not shown; the evidence (--out DIR, --json) has all 166" in text


def test_different_kernels_never_look_the_same():
    assert display_name(POW) == display_name(POW_REBUILT)
    text = printed(replace(DIVERGED, kernels=(kernel(POW), kernel(POW_REBUILT))))
    shown = [line.split("  ")[0] for line in text.splitlines() if "pow_tensor" in line]
    assert len(shown) == len(set(shown)) == 2


def test_markup_in_names_and_reasons_is_shown_as_text():
    hostile = replace(
        DIVERGED,
        kernels=(kernel(HOSTILE),),
        checks=(CheckResult(HOSTILE, Status.FAIL, HOSTILE, (HOSTILE,)),),
        summary=HOSTILE,
        notes=(HOSTILE,),
        recorder_reason=HOSTILE,
        case={"op": HOSTILE},
    )
    text = printed(hostile)
    assert text.count("[bold red]kern|el`[/nope]:smile:[link=x]") >= 7
    assert "\x1b" not in text


def test_colours_are_for_terminals_only():
    assert "\x1b[" not in printed(DIVERGED)
    assert "\x1b[" in printed(DIVERGED, force_terminal=True, color_system="standard")


def test_a_report_without_kernels_still_has_checks_and_verdict():
    empty = Alignment({"op": "dsa"}, Verdict.NO_SIGNAL, "no reference", ())
    lines = printed(empty).splitlines()
    assert lines[0].strip() == "recorder: none"
    assert lines[-1].startswith("VERDICT no-signal: no reference")


@pytest.mark.parametrize("width", [80, 140])
def test_the_summary_has_a_row_per_case(width):
    aligned = replace(
        DIVERGED, verdict=Verdict.ALIGNED, checks=(CHECKS[1],), case={**CASE, "tp": 1}
    )
    out = StringIO()
    documents = [evidence(DIVERGED), evidence(aligned)]
    print_summary(documents, Console(width=width, file=out))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "1.0008 [1.0002, 1.0016]" in text
    assert "8/12" in text
    assert text.index("diverged") < text.index("aligned")
    if width == 140:
        row = next(line for line in text.splitlines() if "diverged" in line)
        assert "dsa generation tp8 b8 s1 kv4096 bfloat16 vllm" in row
        assert "names, latency" in row


def test_evidence_is_plain_json_and_survives_a_round_trip():
    document = evidence(DIVERGED)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["schema"] == "harness.evidence/1"
    assert document["verdict"] == "diverged"
    assert type(document["verdict"]) is str
    assert document["case"] == CASE
    assert document["kernels"][0]["name"] == LOGITS
    assert document["checks"][0]["details"] == ["missing: nvjet x1", "extra: f x2"]


def test_numbers_that_json_lacks_become_null_and_are_named():
    check = CheckResult("numerics", Status.FAIL, "", data={"max_abs": math.nan, "l2": [math.inf]})
    document = evidence(replace(DIVERGED, checks=(check,)))
    assert document["checks"][0]["data"] == {"max_abs": None, "l2": [None]}
    assert document["non_finite"] == {"checks.0.data.max_abs": "nan", "checks.0.data.l2.0": "inf"}


def test_the_hash_depends_on_the_content_and_not_on_the_order():
    one = evidence(DIVERGED)
    turned = evidence(replace(DIVERGED, case=dict(reversed(CASE.items()))))
    other = evidence(replace(DIVERGED, tolerance=0.02))
    assert one["content_hash"] == turned["content_hash"] != other["content_hash"]


def test_written_evidence_is_verified(tmp_path):
    path = write_evidence(DIVERGED, tmp_path / "evidence.json")
    assert verify_evidence(path) == evidence(DIVERGED)
    assert [file.name for file in tmp_path.iterdir()] == ["evidence.json"]


@pytest.mark.parametrize(
    ("old", "new"),
    [('"diverged"', '"aligned"'), ("1.0008", "1.0009"), (": 12.5", ": 12.25")],
)
def test_tampered_evidence_is_refused(tmp_path, old, new):
    path = write_evidence(DIVERGED, tmp_path / "evidence.json")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match="content hash does not match"):
        verify_evidence(path)


def test_a_set_of_results_is_verified_as_a_whole_and_each(tmp_path):
    document = {"op": "dsa", "verdict": "diverged", "results": [evidence(DIVERGED)]}
    path = write_evidence_document(document, tmp_path / "all.json")
    assert verify_evidence(path)["results"] == [evidence(DIVERGED)]
    document["results"][0]["verdict"] = "aligned"
    with pytest.raises(InputError, match="content hash"):
        verify_evidence(write_evidence_document(document, path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not an evidence file"),
        ("[1]", "not a JSON object"),
        ("{}", "has no schema"),
        ("[" * 100_000, "not an evidence file"),
        ('{"schema": "harness.evidence/1", "x": NaN}', "not an evidence file"),
        ('{"schema": "harness.evidence/99"}', "harness.evidence/99"),
        ('{"schema": "harness.evidence/1"}', "content hash does not match"),
        ('{"schema": "harness.evidence-set/1"}', "results are not a list"),
    ],
)
def test_what_is_not_evidence_is_refused_with_the_reason(tmp_path, content, message):
    path = tmp_path / "evidence.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        verify_evidence(path)
    assert str(path) in str(caught.value)


def test_unreadable_evidence_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*absent\.json"):
        verify_evidence(tmp_path / "absent.json")
    with pytest.raises(InputError, match="cannot read"):
        verify_evidence(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00PAR1")
    with pytest.raises(InputError, match="not an evidence file"):
        verify_evidence(tmp_path / "binary")


@pytest.mark.parametrize("write", [write_evidence, write_markdown])
@pytest.mark.parametrize("target", ["no/such/folder/file", "file/below", ""])
def test_an_unwritable_path_is_an_input_error_that_names_it(tmp_path, write, target):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write") as caught:
        write(DIVERGED, tmp_path / target)
    assert str(tmp_path) in str(caught.value)
    assert "choose a file" in caught.value.fix


TRACE = Trace(
    activities_table(
        [
            {
                "kind": "kernel",
                "name": LOGITS,
                "start_ns": 1_000_500,
                "end_ns": 1_004_500,
                "stream": 7,
                "graph_node": (2 << 32) | 5,
                "grid": [132, 1, 1],
                "block": [384, 1, 1],
                "shared_dynamic_bytes": 49152,
                "registers": 168,
                "region": 0,
            },
            {
                "kind": "memcpy",
                "name": "DtoD",
                "start_ns": 1_005_000,
                "end_ns": 1_006_000,
                "bytes": 64,
            },
        ]
    ),
    TraceInfo("cupti", versions={"cupti": "13.0.85"}, dropped_records=0),
    regions_table([{"id": 0, "name": "forward", "parent": None, "start_ns": 0, "end_ns": 9}]),
)
MEASURED = Measurement("mock", (0.29, 0.31, 0.3), 6, "graph")
TOPOLOGY = GraphTopology((("kernel", LOGITS), ("memcpy", "")), ((0, 1),))
FLOWS = [Flow("o_proj", 0, {"in.0": TensorSpec((8, 16), (16, 1), "bfloat16", "cuda")})]
SIDE = side_json("standalone module", TRACE, TRACE, MEASURED, FLOWS, TOPOLOGY, "")


def test_a_side_holds_every_launch_in_order_with_its_configuration():
    logits, copy = SIDE["replay"]["activities"]
    assert logits["name"] == LOGITS
    assert logits["display"].startswith("deep_gemm::sm90_fp8_paged_mqa_logits<")
    assert logits["grid"] == [132, 1, 1]
    assert logits["shared_dynamic_bytes"] == 49152
    assert logits["graph_node"] == (2 << 32) | 5
    assert (logits["offset_ns"], logits["duration_ns"]) == (0, 4000)
    assert logits["region"] == "forward"
    assert (copy["identity"], copy["offset_ns"]) == ("memcpy DtoD 64 B", 4500)
    assert "registers" not in copy


def test_a_side_holds_samples_graph_and_data_flow():
    assert SIDE["measurement"]["samples_ms"] == [0.29, 0.31, 0.3]
    assert SIDE["measurement"]["median_ms"] == 0.3
    assert SIDE["graph"]["used"] is True
    assert SIDE["graph"]["nodes"][0] == {"type": "kernel", "name": LOGITS}
    assert SIDE["graph"]["edges"] == [[0, 1]]
    assert SIDE["data_flow"][0]["tensors"]["in.0"]["shape"] == [8, 16]
    assert SIDE["eager"]["info"]["dropped_records"] == 0
    assert json.loads(json.dumps(SIDE, allow_nan=False)) == SIDE


def test_a_side_of_which_nothing_is_known_says_so():
    side = side_json("callable", None, None, None, None, None, "capture failed")
    assert side["graph"] == {"used": False, "problem": "capture failed"}
    assert side["eager"] is side["replay"] is side["measurement"] is side["data_flow"] is None


FULL = replace(DIVERGED, sides={"mock": SIDE, "reference": SIDE}, kernels=(kernel(LOGITS),))


def test_markdown_holds_both_lists_samples_and_environment():
    text = markdown(FULL)
    assert text.count("<details>") == text.count("</details>") == 4
    assert "<summary>mock: 2 launches in order, graph replay</summary>" in text
    assert "median 0.3000 ms, from 0.2900 to 0.3100 ms" in text
    assert "CUDA graph: used, 2 nodes, branches: 1" in text
    assert "| versions.torch | 2.11 |" in text
    assert "**diverged**: names failed" in text
    assert "132x1x1" in text


def test_markdown_without_sides_or_times_is_complete():
    ops = (kernel("aten::mm", 1, 1, None, "op"),)
    text = markdown(replace(DIVERGED, kernels=ops))
    assert "| `=` | `aten::mm` | 1 | 1 |" in text
    assert markdown(
        replace(DIVERGED, sides={"mock": side_json("x", None, None, None, None, None, "")})
    )


def test_markdown_lists_tensors_of_calls_where_there_are_no_kernels():
    tensor = {"shape": [4096, 64], "stride": [64, 1], "dtype": "bfloat16", "device": "meta"}
    rows = [{"kind": "op", "name": "aten::mm", "inputs": [tensor, tensor], "outputs": [tensor]}]
    trace = Trace(activities_table(rows), TraceInfo("dispatch"))
    side = side_json("on meta", trace, None, None, None, None, "")
    text = markdown(replace(DIVERGED, sides={"mock": side}))
    assert "| 0 | `aten::mm` | bfloat16 4096x64, bfloat16 4096x64 | bfloat16 4096x64 |" in text


def cells(line):
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_no_name_breaks_a_markdown_table():
    hostile = replace(
        FULL,
        kernels=(kernel(HOSTILE), kernel("a|b"), kernel("``c`")),
        checks=(CheckResult("names", Status.FAIL, HOSTILE, (HOSTILE, "<b>x</b> | y")),),
        case={"op": HOSTILE},
        environment={"command": HOSTILE},
    )
    lines = markdown(hostile).splitlines()
    for i, line in enumerate(lines):
        if line.startswith("|"):
            previous = lines[i - 1]
            assert not previous.startswith("|") or cells(line) == cells(previous)
    assert "\x1b" not in "\n".join(lines)


def test_code_spans_and_cells_escape_what_would_end_them():
    assert code("a|b") == r"`a\|b`"
    assert code("a`b") == "`` a`b ``"
    assert code("vectorized<4, int>") == "`vectorized<4, int>`"
    assert cell("a|b\nc*<d> `e` sm90_fp8 __nv") == r"a\|b c\*\<d\> \`e\` sm90_fp8 \_\_nv"


def test_the_command_can_be_typed_again_and_names_no_machine_path():
    argv = [
        "/home/jane/src/harness/compare/__main__.py",
        "--op",
        "dsa",
        "--out",
        "/home/jane/my run",
    ]
    assert command_line(argv) == "python -m harness.compare --op dsa --out '.../my run'"
    assert command_line(["/opt/venv/bin/harness", "compare"]) == "harness compare"
    assert command_line([]) == ""


@pytest.mark.parametrize(
    ("text", "reduced"),
    [
        ("/home/jane/models/v3", ".../v3"),
        ("--out=/data/jane doe/run 1", "--out=.../run 1"),
        ("/a/b:/c/d", ".../b:.../d"),
        ("x,/a/b", "x,.../b"),
        ("~jane/x", ".../x"),
        ("file:///home/jane/x.json", ".../x.json"),
        (r"C:\Users\jane\x.json", ".../x.json"),
        ("out/run1", "out/run1"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("1/8", "1/8"),
        ("", ""),
    ],
)
def test_absolute_paths_are_reduced_and_marked(text, reduced):
    assert without_paths(text) == reduced


def test_the_name_of_the_user_does_not_survive_in_a_path(monkeypatch):
    monkeypatch.setenv("USER", "jane")
    assert without_paths("/tmp/torchinductor_jane") == ".../torchinductor_~"
    assert without_paths("/home/jane") == ".../~"


def test_only_steering_variables_are_kept_and_secrets_lose_their_value():
    found = steering_variables(
        {
            "CUDA_VISIBLE_DEVICES": "0",
            "VLLM_ATTENTION_BACKEND": "FLASHMLA",
            "VLLM_API_KEY": "hunter2",
            "TRITON_CACHE_DIR": "/scratch/triton",
            "HOME": "/home/jane",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
        }
    )
    assert found == {
        "CUDA_VISIBLE_DEVICES": "0",
        "TRITON_CACHE_DIR": ".../triton",
        "VLLM_API_KEY": "(set, not recorded)",
        "VLLM_ATTENTION_BACKEND": "FLASHMLA",
    }


def test_the_environment_is_plain_json_without_machine_paths(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(Path.cwd() / "cache"))
    found = environment([str(Path.cwd() / "run.py"), "--out", str(Path.cwd())])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["versions"]["torch"]
    assert found["versions"]["operator-alignment-harness"][0].isdigit()
    assert found["created"].endswith("+00:00")
    assert found["variables"]["TORCHINDUCTOR_CACHE_DIR"] == ".../cache"
    assert str(Path.cwd()) not in json.dumps(found)
