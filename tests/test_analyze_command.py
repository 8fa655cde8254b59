"""python -m harness.analyze: what it prints, writes and ends with."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from harness.analyze.analysis import PARTS, Wanted, analyse
from harness.analyze.command import analyze
from harness.analyze.range_summary import range_projection, range_summary
from harness.cli import VERBS, run_command
from harness.report.analysis import print_analysis
from harness.report.analysis_files import csv_safe
from harness.trace import Trace, TraceInfo, activities_table, read_trace, regions_table, write_trace
from tests.analyze_support import nsys_trace
from tests.nsys_files import EXPECTED, GRAPH_NODES, GRAPH_TRACE, NO_KERNELS, TWO_GPUS, export
from tests.streaming_support import LAYERS, streamed

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def h200(tmp_path):
    return export(GRAPH_NODES, tmp_path)


def run(*arguments):
    return run_command(analyze, [str(one) for one in arguments])


def document(capsys, *arguments):
    assert run(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def shown(trace, width, *parts, most=5):
    """What the terminal shows, line by line."""
    console = Console(width=width, file=io.StringIO(), record=True)
    made = analyse(trace, Wanted(frozenset(parts), largest=most))
    print_analysis(Path("some[red].sqlite"), trace, made, console, most=most)
    return console.export_text().splitlines()


def test_without_options_kernels_gaps_and_findings_are_shown(h200, capsys):
    assert run(h200) == 0
    text = capsys.readouterr().out
    assert "3,930 kernels" in text
    for title in ("kernels by name", "idle time", "gaps by length", "largest gaps", "findings"):
        assert f"\n{title}\n" in text


def test_the_json_has_the_known_figures_of_a_real_file(h200, capsys):
    figures, expected = document(capsys, h200), EXPECTED[GRAPH_NODES]
    for mine, known in (
        ("kernels", "kernels"),
        ("total_kernel_ns", "total_kernel_ns"),
        ("wall_ns", "wall_ns"),
        ("idle_union_ns", "idle_union_global_ns"),
        ("gap_naive_ns", "gap_naive_global_ns"),
    ):
        assert figures[mine] == expected[known]
        assert type(figures[mine]) is int
    assert figures["complete"] is True
    assert set(figures["tables"]) >= {"kernel_summary", "idle_by_device", "large_gaps"}
    assert {one["status"] for one in figures["findings"]} <= {"found", "clear", "unknown"}


def test_the_json_has_the_figures_of_each_device(tmp_path, capsys):
    figures, expected = document(capsys, export(TWO_GPUS, tmp_path)), EXPECTED[TWO_GPUS]
    for device in figures["devices"]:
        number = str(device["device"])
        assert device["idle_union_ns"] == expected["idle_union_per_device_ns"][number]
        assert device["gap_naive_ns"] == expected["gap_naive_per_device_ns"][number]
    assert [row["device"] for row in figures["tables"]["idle_by_device"]] == [None, 0, 1]


def test_only_what_is_asked_for_is_there(h200, capsys):
    assert list(document(capsys, h200, "--overlap")["tables"]) == ["overlap"]
    tables = document(capsys, h200, "--api", "--graphs")["tables"]
    assert list(tables) == ["api_summary", "hot_spots", "graph_coverage"]
    (row,) = tables["graph_coverage"]
    assert row["kernels_in_graphs"] == EXPECTED[GRAPH_NODES]["graph_node_kernels"]


def test_every_option_of_a_part_gives_that_part(h200, capsys):
    for name in PARTS:
        option = {"roofline": ["--roofline", DATA / "ncu" / "t4_copy_blocked_details.csv"]}
        made = document(capsys, h200, *option.get(name, [f"--{name}"]))
        assert made["tables"] or made["findings"], name


def test_steps_end_with_a_kernel_or_are_ranges(h200, capsys):
    by_kernel = document(capsys, h200, "--steps", "argmax")["tables"]["steps"]
    assert sum(row["state"] == "steady" for row in by_kernel) >= 40
    by_range = document(capsys, h200, "--step-range", "step *")["tables"]["steps"]
    assert {row["name"].split()[0] for row in by_range} == {"step"}
    assert run(h200, "--steps", "argmax", "--step-range", "step *") == 2


def test_ranges_of_a_pattern(h200, capsys):
    (row,) = document(capsys, h200, "--ranges", "layers.*.self_attn")["tables"]["ranges"]
    assert row["range"] == "layers.*.self_attn"
    assert row["kernels"] > 0


def test_the_streaming_report_of_a_trace(tmp_path, capsys):
    path = write_trace(streamed(prefetch=True), tmp_path / "t.parquet")
    made = document(capsys, path, "--streaming")
    assert [row["layer"] for row in made["tables"]["streaming_layers"]] == list(range(LAYERS))
    assert made["streaming_findings"]
    assert run(path, "--streaming") == 0
    assert "weight streaming: ideal and actual time" in capsys.readouterr().out


def test_a_file_without_kernels_ends_with_3_and_the_reason(tmp_path, capsys):
    assert run(export(NO_KERNELS, tmp_path)) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "no kernel" in error
    copies = activities_table([{"kind": "memcpy", "name": "HtoD", "start_ns": 0, "end_ns": 9}])
    path = write_trace(Trace(copies, TraceInfo("test")), tmp_path / "copies.parquet")
    assert run(path, "--json") == 3


@pytest.mark.parametrize("content", [b"", b"nonsense", b"SQLite format 3\0 and no more", b"PAR1"])
def test_a_file_that_is_none_ends_with_2_and_one_line(tmp_path, capsys, content):
    path = tmp_path / "file.sqlite"
    path.write_bytes(content)
    assert run(path) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(tmp_path / "missing.sqlite") == 2


def test_an_incomplete_trace_says_so_in_the_second_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")  # the first line holds the path
    info = TraceInfo("test", incomplete=("7 records were dropped",))
    trace = Trace(streamed(prefetch=True).activities, info)
    path = write_trace(trace, tmp_path / "t.parquet")
    assert run(path) == 0
    assert capsys.readouterr().out.splitlines()[1] == "INCOMPLETE: 7 records were dropped"
    assert document(capsys, path)["incomplete"] == ["7 records were dropped"]


def test_out_has_each_table_as_csv_the_trace_and_the_figures(h200, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(h200, "--kernels", "--overlap", "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "figures.json",
        "kernel_summary.csv",
        "overlap.csv",
        "trace.parquet",
    ]
    with (out / "kernel_summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["Instances"]) for row in rows) == 3930
    assert json.loads((out / "figures.json").read_text())["kernels"] == 3930
    assert len(read_trace(out / "trace.parquet").of_kind("kernel")) == 3930


def test_out_replaces_what_an_earlier_run_wrote_there_and_nothing_else(h200, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(h200, "--overlap", "--api", "--out", out) == 0
    for own in ("steps.csv", "notes.txt"):
        (out / own).write_text("mine")
    capsys.readouterr()
    assert run(h200, "--kernels", "--out", out) == 0
    assert "replacing the earlier results" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == [
        "figures.json",
        "kernel_summary.csv",
        "notes.txt",
        "steps.csv",
        "trace.parquet",
    ]


@pytest.mark.parametrize(
    "figures",
    [
        "no JSON",
        "[" * 100_000,
        '{"tables": {"mine": []}}',
        '{"source": "", "table_notes": {}, "tables": {"../mine": [], "out/mine": []}}',
        '{"source": "", "table_notes": {}, "tables": ["mine"]}',
    ],
)
def test_figures_of_others_remove_no_file(h200, tmp_path, capsys, figures):
    out = tmp_path / "out"
    out.mkdir()
    (out / "figures.json").write_text(figures)
    for mine in (out / "mine.csv", tmp_path / "mine.csv"):
        mine.write_text("mine")
    assert run(h200, "--kernels", "--out", out) == 0
    assert (out / "mine.csv").exists()
    assert (tmp_path / "mine.csv").exists()


def test_ranges_have_the_tables_of_nsys_stats_in_files_and_json(h200, tmp_path, capsys):
    out = tmp_path / "out"
    tables = document(capsys, h200, "--ranges", "--out", out)["tables"]
    trace = nsys_trace(GRAPH_NODES)
    assert tables["nvtx_sum"] == range_summary(trace).to_pylist()
    assert tables["nvtx_gpu_proj_sum"] == range_projection(trace).to_pylist()
    assert tables["nvtx_gpu_proj_sum"]
    assert {"ranges.csv", "nvtx_sum.csv", "nvtx_gpu_proj_sum.csv"} < {
        path.name for path in out.iterdir()
    }


def test_kernels_that_only_the_trace_or_only_ncu_has_are_counted_and_listed(h200, capsys):
    report = DATA / "ncu" / "t4_copy_blocked_details.csv"
    made = document(capsys, h200, "--roofline", report)
    (note,) = made["table_notes"]["roofline_in_trace"]
    assert note.startswith("0 launches of the Trace, 0.0 % of its kernel time, are of kernels in")
    assert "3,930 launches are only in the Trace" in note
    only = made["tables"]["roofline_only_trace"]
    assert sum(row["launches"] for row in only) == 3930
    assert made["tables"]["roofline_only_ncu"][0]["reason"]
    assert run(h200, "--roofline", report) == 0
    assert "are only in the Trace" in " ".join(capsys.readouterr().out.split())


def test_a_folder_that_cannot_be_written_to_is_an_error(h200, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(h200, "--kernels", "--out", tmp_path / "file" / "out") == 2
    assert "--out" in capsys.readouterr().err


def test_names_out_of_a_file_are_neither_markup_nor_formulas():
    names = ["[bold red]x[/]", "=cmd()", "a\x1b[31mb", ":smile:"]
    rows = [
        {"kind": "kernel", "name": name, "start_ns": 10 * i, "end_ns": 10 * i + 5, "region": i + 1}
        for i, name in enumerate(names)
    ]
    regions = [{"id": i + 1, "name": name, "end_ns": 9} for i, name in enumerate(names)]
    regions = [row | {"start_ns": 0} for row in regions]
    trace = Trace(activities_table(rows), TraceInfo("test"), regions_table(regions))
    text = "\n".join(shown(trace, 140, "kernels", "gaps", "ranges", "findings"))
    assert "some[red].sqlite" in text
    assert "\x1b" not in text
    assert text.count("[bold red]x[/]") >= 3
    assert ":smile:" in text
    table = analyse(trace, Wanted(frozenset({"ranges"}))).tables["ranges"]
    assert "'=cmd()" in csv_safe(table)


@pytest.mark.parametrize("width", [80, 140])
def test_every_table_fits_the_terminal(width):
    parts = [name for name in PARTS if name not in ("roofline", "steps")]
    lines = shown(nsys_trace(GRAPH_NODES), width, *parts)
    lines += shown(streamed(prefetch=True), width, "streaming", "overlap", "launches")
    assert max(map(len, lines)) <= width
    headings = [line for line in lines if line.startswith(("layer ", "range ", "call "))]
    assert headings
    assert all("…" not in line for line in headings)


def test_a_file_for_perfetto_is_written_on_request(h200, tmp_path, capsys):
    assert run(h200, "--graphs", "--perfetto", tmp_path / "h200.json") == 0
    assert json.loads((tmp_path / "h200.json").read_text())["traceEvents"]


def test_analyze_is_a_verb_and_a_module(h200):
    assert VERBS["analyze"] == "harness.analyze.command:analyze"
    done = subprocess.run(
        [sys.executable, "-m", "harness.analyze", str(h200), "--graphs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "CUDA graphs" in done.stdout


def test_kineto_traces_are_analysed_too(tmp_path, capsys):
    path = DATA / "kineto_h100_excerpt.json"
    packed = tmp_path / "trace.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    plain, zipped = document(capsys, path), document(capsys, packed)
    assert plain["kernels"] == zipped["kernels"] > 0


def test_a_part_without_an_answer_leaves_the_others_and_is_named(tmp_path, capsys):
    path = export(TWO_GPUS, tmp_path)
    found = document(capsys, path, "--gaps", "--steps")
    assert "idle_by_device" in found["tables"]
    assert "show no steps" in found["unanswered"]["steps"]
    assert run(path, "--gaps", "--steps") == 0
    assert "steps: the kernels show no steps" in capsys.readouterr().out


def test_nothing_but_a_part_without_an_answer_ends_with_3(tmp_path, capsys):
    assert run(export(TWO_GPUS, tmp_path), "--steps") == 3
    assert "--steps KERNEL or --step-range PATTERN" in capsys.readouterr().err


def test_two_ways_to_cut_steps_are_refused(h200, capsys):
    assert run(h200, "--steps", "--step-range", "step *") == 2
    assert "drop --steps or --step-range" in capsys.readouterr().err


def test_the_wall_time_with_copies_is_shown_where_it_is_another(tmp_path, capsys):
    assert run(export(GRAPH_TRACE, tmp_path)) == 0
    assert " of 186.81 us" in " ".join(capsys.readouterr().out.split())
