"""Nsight Compute's CSV as it comes in real life, and everything that is none."""

from __future__ import annotations

import gzip
import os
import random
import string
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, InputError, NoSignalError, TraceFormatError
from harness.record.files.ncu import METRICS, in_base_units, read_ncu
from harness.record.files.ncu.numbers import NumberStyle, number_style

DATA = Path(__file__).parent / "data" / "ncu"
RAW = DATA / "h200_vllm_dsa_decode_raw.csv.gz"
DETAILS = DATA / "t4_copy_blocked_details.csv"
DURATION = "gpu__time_duration.sum"


@pytest.fixture(scope="module")
def h200():
    return read_ncu(RAW)


@pytest.fixture(scope="module")
def t4():
    return read_ncu(DETAILS)


def text_of(name, kernel="k", unit="ns", value="1.5", delimiter=","):
    """A raw page with one metric of one kernel."""
    rows = [
        ["ID", "Kernel Name", "Block Size", "Grid Size", name],
        ["", "", "", "", unit],
        ["0", kernel, "(128, 1, 1)", "(4, 1, 1)", value],
    ]
    return "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows) + "\n"


def written(tmp_path, text, name="x.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def metric(report, kernel, name):
    """The rows of one metric of one kernel."""
    names = pc.equal(report.metrics["metric"].cast("string"), name)
    rows = report.metrics.filter(pc.and_(names, pc.equal(report.metrics["kernel"], kernel)))
    return rows.to_pylist()


def test_66_kernels_of_an_h200_are_read_with_log_lines_and_units(h200):
    assert (h200.page, h200.kernels.num_rows) == ("raw", 66)
    assert h200.metrics.schema.equals(METRICS)
    assert h200.metrics.num_rows == 66 * 2227
    kernel = h200.kernels.to_pylist()[30]
    assert kernel["name"] == "nvjet_sm90_tst_256x8_64x6_2x1_v_bz_splitK_TNT"
    assert (kernel["grid"], kernel["block"]) == ([2, 66, 1], [384, 1, 1])
    assert (kernel["id"], kernel["process"], kernel["stream"], kernel["cc"]) == (30, 871, 7, "9.0")
    (read,) = metric(h200, 30, "dram__bytes_read.sum")
    assert (read["value"], read["unit"], read["text"]) == (235_201_792, "byte", "235,201,792")
    assert h200.incomplete == ()


def test_names_stand_as_ncu_wrote_them(h200):
    names = h200.kernels["name"].to_pylist()
    assert names[2].startswith("void at::<unnamed>::vectorized_layer_norm_kernel<float, float, 0>(")
    assert len(set(names)) == 34


def test_what_ncu_says_becomes_notes_and_what_the_program_says_is_counted(h200):
    assert [note[:24] for note in h200.notes] == [
        "ncu warns: Note: Running",
        "ncu warns: Unable to acc",
        "6 lines that are neither",
    ]


def test_a_metric_that_was_not_collected_is_null_and_keeps_its_text(h200):
    name = "sass__inst_executed_register_spilling_mem_local"
    rows = [row for kernel in range(66) for row in metric(h200, kernel, name)]
    assert {(row["text"], row["value"]) for row in rows} == {("no data", None)}
    texts = pc.filter(h200.metrics["text"].cast("string"), pc.is_null(h200.metrics["value"]))
    assert "" in texts.to_pylist()


def test_metrics_become_columns_in_base_units(h200):
    table = h200.pivot([DURATION, "dram__bytes_read.sum", "not collected"])
    assert table[DURATION][30].as_py() == pytest.approx(60_768e-9)
    assert table["dram__bytes_read.sum"][30].as_py() == 235_201_792
    assert table["not collected"].null_count == 66
    with pytest.raises(InputError, match="twice"):
        h200.pivot([DURATION, DURATION])


def test_the_details_page_gives_metrics_by_section_and_what_the_rules_say(t4):
    assert (t4.page, t4.kernels.num_rows, t4.metrics.num_rows) == ("details", 1, 72)
    kernel = t4.kernels.to_pylist()[0]
    assert kernel["name"].startswith("copy_blocked[v1,cw51cXTLSUwv1sDUaKthrqNgqqmjgOR3W3Cw")
    assert (kernel["grid"], kernel["block"]) == ([1024, 1, 1], [256, 1, 1])
    both = ["GPU Speed Of Light Throughput: Memory Throughput"]
    both += ["Memory Workload Analysis: Memory Throughput"]
    assert t4.pivot(both).to_pylist()[0] == {"kernel": 0, both[0]: 61.84, both[1]: 196456177859.63}
    assert t4.rules.num_rows == 11
    last = t4.rules.to_pylist()[-1]
    assert (last["rule"], last["type"], last["speedup_pct"]) == (
        "UncoalescedGlobalAccess",
        "OPT",
        74.14,
    )


def european(text, thousands):
    swap = str.maketrans({",": "\0", ".": ","})
    return text.translate(swap).replace("\0", thousands)


@pytest.mark.parametrize("thousands", [".", "\u00a0", "\u202f", " "])
def test_a_european_locale_gives_the_same_numbers(tmp_path, h200, thousands):
    import csv

    lines = gzip.decompress(RAW.read_bytes()).decode().splitlines()[12:20]
    rows = list(csv.reader(lines))
    cells = [[*row[:11], *(european(cell, thousands) for cell in row[11:])] for row in rows[2:]]
    whole = [rows[0], rows[1], *cells]
    path = written(tmp_path, "\n".join(";".join(f'"{c}"' for c in row) for row in whole))
    found = read_ncu(path)
    count = found.metrics.num_rows
    assert count == 6 * 2227
    assert found.metrics["value"].equals(h200.metrics["value"].slice(0, count))


@pytest.mark.parametrize(
    ("texts", "delimiter", "decimal", "sure"),
    [
        (["1,234.5"], ",", ".", True),
        (["1.234,5"], ";", ",", True),
        (["1,234,567"], ",", ".", True),
        (["0,25"], ";", ",", True),
        (["0.250"], ",", ".", True),
        (["1,234"], ",", ".", False),
        (["1.234"], ";", ",", False),
        (["12 345,67"], ";", ",", True),
        (["n/a", "", "nan", "no data"], ",", ".", False),
        (["0.25", "0.5", "1.234,5"], ",", ".", True),
    ],
)
def test_the_decimal_sign_is_what_the_numbers_prove(texts, delimiter, decimal, sure):
    assert number_style(texts, delimiter) == NumberStyle(decimal, sure)


@pytest.mark.parametrize(
    "text", ["nan", "-nan", "inf", "-inf", "n/a", "N/A", "no data", "", "NVIDIA H200", "1e999"]
)
def test_what_is_no_number_has_no_value(text):
    assert NumberStyle(".").parse(text) is None


@pytest.mark.parametrize("text", ["1,23", "1.2.3", "1,234,56", "12,34.5", "1.5,0"])
def test_a_number_of_another_style_is_not_guessed(text):
    assert NumberStyle(".").parse(text) is None


def test_a_sign_that_no_number_proves_is_said(tmp_path):
    found = read_ncu(written(tmp_path, text_of("m", value="1,234")))
    assert found.metrics["value"].to_pylist() == [1234]
    assert any("decimal sign" in note for note in found.notes)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (2.5, "Gbyte/s", (2.5e9, "byte/s")),
        (2.5, "Gbyte/second", (2.5e9, "byte/s")),
        (3.0, "usecond", (3e-6, "s")),
        (3.0, "us", (3e-6, "s")),
        (1.5, "Ghz", (1.5e9, "hz")),
        (1.5, "cycle/nsecond", (1.5e9, "cycle/s")),
        (64.0, "Kbyte", (64e3, "byte")),
        (61.8, "%", (61.8, "%")),
        (None, "Mbyte", (None, "byte")),
        (7.0, "register/thread", (7.0, "register/thread")),
        (7.0, "", (7.0, "")),
    ],
)
def test_units_of_every_scale_become_base_units(value, unit, expected):
    got = in_base_units(value, unit)
    assert got == (pytest.approx(expected[0]) if expected[0] is not None else None, expected[1])


@pytest.mark.parametrize(
    ("log", "reason", "fix"),
    [
        ("==WARNING== No kernels were profiled.\n", "No kernels were profiled", "filters"),
        (
            "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access\n"
            "==PROF== Disconnected from process 7\n",
            "ERR_NVGPUCTRPERM",
            "performance counters",
        ),
        (text_of("m").splitlines()[0] + "\n==ERROR== Failed to profile", "Failed to", "again"),
    ],
)
def test_a_run_without_kernels_says_why(tmp_path, log, reason, fix):
    path = written(tmp_path, "==PROF== Connected to process 7 (/usr/bin/python)\n" + log)
    with pytest.raises(NoSignalError, match=reason) as raised:
        read_ncu(path)
    assert fix in raised.value.fix
    assert raised.value.exit_code == 3


def test_an_error_after_some_kernels_makes_the_report_incomplete(tmp_path):
    found = read_ncu(written(tmp_path, text_of("m") + "==ERROR== LaunchFailed\n"))
    assert found.kernels.num_rows == 1
    assert found.incomplete == ("ncu reports an error: LaunchFailed",)


def test_a_cut_file_is_incomplete(tmp_path):
    whole = gzip.decompress(RAW.read_bytes())
    found = read_ncu(written(tmp_path, whole[: len(whole) // 2]))
    assert 0 < found.kernels.num_rows < 66
    assert "may be cut" in found.incomplete[0]


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"", InputError, "no CSV of Nsight Compute"),
        (b"a,b\n1,2\n", InputError, "no CSV of Nsight Compute"),
        (b"SQLite format 3\0" + bytes(100), TraceFormatError, "binary"),
        (b"\x1f\x8b\x08broken", TraceFormatError, "damaged gzip"),
        (
            b'"Kernel Name","Metric Name","Metric Unit","Minimum","Maximum"\n"k","m","ns","1","2"',
            InputError,
            "--print-summary",
        ),
    ],
)
def test_another_file_is_refused(tmp_path, content, kind, said):
    with pytest.raises(kind, match=said):
        read_ncu(written(tmp_path, content))


def test_a_file_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_ncu(tmp_path / "none.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_file_of_a_windows_shell_is_read(tmp_path, encoding):
    found = read_ncu(written(tmp_path, text_of("m", kernel="naïve").encode(encoding)))
    assert found.kernels["name"].to_pylist() == ["naïve"]


def test_names_are_data_even_with_quotes_commas_and_line_breaks(tmp_path):
    name = '=cmd|x; DROP TABLE k;--, ""q"" [bold]\nnext'
    found = read_ncu(written(tmp_path, text_of("m", kernel=name)))
    assert found.kernels["name"].to_pylist() == [name.replace('""', '"')]


def test_reports_that_were_put_together_keep_their_kernels_apart(tmp_path):
    found = read_ncu(written(tmp_path, text_of("m") + "==PROF== x\n" + text_of("m", value="2.5")))
    kernels = found.kernels
    assert (kernels["kernel"].to_pylist(), kernels["id"].to_pylist()) == ([0, 1], [0, 0])
    assert found.metrics["value"].to_pylist() == [1.5, 2.5]


def test_without_size_columns_the_launch_metrics_give_the_grid(tmp_path):
    axes = [f"launch__{what}_dim_{axis}" for what in ("grid", "block") for axis in "xyz"]
    rows = [["ID", "Kernel Name", *axes], [""] * 8, ["0", "k", "1,024", *"21", "128", *"11"]]
    path = written(tmp_path, "\n".join(",".join(f'"{c}"' for c in row) for row in rows))
    kernel = read_ncu(path).kernels.to_pylist()[0]
    assert (kernel["grid"], kernel["block"]) == ([1024, 2, 1], [128, 1, 1])


def fake_ncu(folder, body):
    path = folder / "ncu"
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}")
    path.chmod(0o755)
    return path


ANSWERS = "if sys.argv[1] == '--version': print('Version 2025.3.1.0'); sys.exit()\n"


def test_a_report_is_exported_by_the_installed_ncu(tmp_path, monkeypatch):
    report = written(tmp_path, b"NVR\0...", "it's; a report.ncu-rep")
    seen = tmp_path / "argv"
    body = f"{ANSWERS}open({str(seen)!r}, 'w').write('\\n'.join(sys.argv[1:]))\n"
    fake_ncu(tmp_path, f"{body}print({text_of('m')!r})")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("NCU", raising=False)
    found = read_ncu(report)
    assert found.kernels.num_rows == 1
    assert found.versions == {"ncu": "2025.3.1.0"}
    assert "by PATH" in found.notes[0]
    assert seen.read_text().splitlines() == [
        *("--import", str(report), "--csv", "--page", "raw", "--print-units", "base"),
    ]


def test_a_report_that_ncu_cannot_read_says_what_ncu_says(tmp_path, monkeypatch):
    report = written(tmp_path, b"NVR\0...", "x.ncu-rep")
    path = fake_ncu(tmp_path, f"{ANSWERS}print('==ERROR== newer version'); sys.exit(1)")
    monkeypatch.setenv("NCU", str(path))
    with pytest.raises(TraceFormatError, match=r"cannot export .*newer version"):
        read_ncu(report)


def test_without_ncu_the_error_names_the_variable(tmp_path, monkeypatch):
    report = written(tmp_path, b"NVR\0...", "x.ncu-rep")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("NCU", raising=False)
    monkeypatch.setattr("harness.programs.files_like", lambda _pattern: [])
    monkeypatch.setattr("harness.programs.candidates", lambda _name, _environ: [])
    with pytest.raises(HarnessError, match="variable NCU") as raised:
        read_ncu(report)
    assert raised.value.exit_code == 2
    monkeypatch.setenv("NCU", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="which is no program here"):
        read_ncu(report)


EXCERPT = "\n".join(
    line[:900] for line in gzip.decompress(RAW.read_bytes()).decode().splitlines()[3:19]
)
BLOCKS = [EXCERPT, DETAILS.read_text()[:6000], text_of("m", delimiter=";", value="1,5")]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    base=st.sampled_from(BLOCKS),
    seed=st.integers(0, 2**32),
    edits=st.integers(1, 12),
    noise=st.text(alphabet=string.printable + "\0\u00a0\ud7ff²٣", max_size=12),
)
def test_a_damaged_csv_gives_kernels_or_one_of_our_errors(tmp_path, base, seed, edits, noise):
    chosen = random.Random(seed)
    text = base
    for _ in range(edits):
        at = chosen.randrange(len(text) + 1)
        end = min(len(text), at + chosen.choice((0, 1, 3, 200)))
        text = (
            text[:at]
            + chosen.choice((noise, '"', ",", "\n", "", text[end : end + 50]))
            + text[end:]
        )
    path = written(tmp_path, text.encode("utf-8", "surrogatepass"), f"{os.getpid()}.csv")
    try:
        found = read_ncu(path)
    except HarnessError:
        return
    assert found.kernels.num_rows > 0
    assert found.metrics.num_rows > 0
