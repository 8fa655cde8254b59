"""serve-profile starts a server under nsys, waits, loads, stops and reads every process."""

from __future__ import annotations

import json
import socket
import sys

import pytest

from harness import programs
from harness.analyze.processes import PROCESSES, process_summary
from harness.cli import VERBS, run_command
from harness.errors import InputError
from harness.nsys.command import nsys
from harness.nsys.plan import Plan, profile_command
from harness.nsys.server import Lines, Server, ServerError
from harness.trace import Trace, TraceInfo, activities_table, read_trace
from tests.fake_nsys import ends, fake_nsys
from tests.test_nsys_program import small_export

READY = "import time; print('server is up', flush=True); time.sleep(60)"
SERVER = ("--", sys.executable, "-c", READY)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a fake nsys that reports two processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NSYS", raising=False)
    (tmp_path / "bin").mkdir()
    small_export(tmp_path / "export.sqlite")
    install(tmp_path, monkeypatch)
    return tmp_path


def install(folder, monkeypatch, **how):
    export = None if how.pop("silent", False) else folder / "export.sqlite"
    monkeypatch.setenv("NSYS", str(fake_nsys(folder / "bin", export, **how)))


def serve(*arguments):
    return run_command(nsys, ["serve-profile", *arguments])


def calls(folder):
    return [json.loads(line) for line in (folder / "bin" / "calls.jsonl").read_text().splitlines()]


def test_the_verb_is_registered():
    assert VERBS["nsys"] == "harness.nsys.command:nsys"


def test_print_shows_the_command_and_runs_nothing(here, capsys):
    assert serve("--print", "--delay", "30", "--duration", "5", "--", "vllm", "serve", "a b") == 0
    text = capsys.readouterr().out
    assert text.startswith("nsys profile --trace=cuda,nvtx --cuda-graph-trace=node --sample=none ")
    assert "--cpuctxsw=none --force-overwrite=true --trace-fork-before-exec=true" in text
    assert "--delay=30 --duration=5 vllm serve 'a b'" in text
    assert not (here / "bin" / "calls.jsonl").exists()


def test_a_server_is_loaded_stopped_and_every_process_is_read(here, capsys):
    load = f"{sys.executable} -c \"open('loaded', 'w')\""
    assert serve("--ready-text", r"server \w+ up", "--load", load, *SERVER) == 0
    assert (here / "loaded").exists()
    trace = read_trace(here / "serve.parquet")
    assert trace.activities["process"].to_pylist() == [11, 12]
    assert "server is up" in (here / "serve.log").read_text()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["processes"]
    assert [row for row in rows if row[0].isdigit()] == [
        ["11", "0", "1", "0", "0", "200", "ns", "80.0", "%"],
        ["12", "1", "1", "0", "0", "50", "ns", "20.0", "%"],
    ]
    verbs = [words[0] for words in calls(here)]
    assert verbs.index("profile") < verbs.index("stop") < verbs.index("export")


def test_collection_that_starts_when_ready_is_started_by_nsys_start(here):
    assert serve("--ready-text", "up", "--from-ready", "--load", "true", *SERVER) == 0
    profile, start = (next(w for w in calls(here) if w[0] == v) for v in ("profile", "start"))
    assert "--start-later=true" in profile
    session = next(word for word in profile if word.startswith("--session-new="))
    assert start == ["start", f"--session={session.partition('=')[2]}"]


def test_a_url_is_polled_until_it_answers(here):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ["--", sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    url = f"http://127.0.0.1:{port}/"
    assert serve("--ready", url, "--load", "true", *server) == 0


def test_without_any_sign_the_server_is_waited_for(here):
    assert serve("--", sys.executable, "-c", "pass") == 0
    assert "stop" not in [words[0] for words in calls(here)]


def test_a_server_that_ends_before_it_is_ready_says_where_to_look(here, capsys):
    server = ["--", sys.executable, "-c", "print(1); raise SystemExit(4)"]
    code = serve("--ready-text", "up", "--load", "true", *server)
    assert code == 3
    err = capsys.readouterr().err
    assert "the server ended with code 4" in err
    assert "serve.log" in err


def test_a_server_that_is_never_ready_is_ended(here, capsys):
    assert serve("--ready-text", "never", "--timeout", "0.5", "--load", "true", *SERVER) == 3
    assert "was not ready after 0.5 s" in capsys.readouterr().err


def test_when_nsys_stop_fails_the_server_is_interrupted_and_it_is_said(here, monkeypatch, capsys):
    install(here, monkeypatch, stop_fails=True)
    assert serve("--ready-text", "up", "--load", "true", *SERVER) == 0
    assert "note: nsys stop failed" in capsys.readouterr().out.replace("\n", " ")
    notes = read_trace(here / "serve.parquet").info.notes
    assert any("No such session" in note for note in notes)


def test_a_failing_load_is_told_and_the_trace_kept(here, capsys):
    assert serve("--ready-text", "up", "--load", "false", *SERVER) == 3
    assert "the load ended with code 1" in capsys.readouterr().out
    assert (here / "serve.parquet").exists()


def test_without_a_report_there_is_no_trace(here, monkeypatch, capsys):
    install(here, monkeypatch, silent=True)
    assert serve("--", sys.executable, "-c", "pass") == 3
    assert "nsys wrote no report" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no server to start"),
        (["--ready", "file:///etc/passwd", "--", "x"], "is no http URL"),
        (["--ready-text", "(", "--", "x"], "is no regular expression"),
        (["--load", "'", "--", "x"], "is no command"),
        (["--from-ready", "--", "x"], "--from-ready without a sign of readiness"),
        (["--load", "true", "--", "x"], "--load without a sign of readiness"),
        (["--load", "true", "--delay", "9", "--", "x"], "--load without a sign of readiness"),
        (["--ready-text", "up", "--", "x"], "it would be stopped at once"),
        (["--ready", "http://h:1/", "--delay", "9", "--", "x"], "it would be stopped at once"),
        (["--print", "--ready", "http://h:1/", "--", "x"], "it would be stopped at once"),
        (["--delay", "1", "--capture-range", "cudaProfilerApi", "--", "x"], "both say when"),
        (["--capture-range", "nvtx", "--", "x"], "belong together"),
        (["-o", "x%p", "--", "x"], "nsys replaces"),
        (["-o", "no/such/folder/x", "--", "x"], "there is no folder"),
    ],
)
def test_wrong_input_is_refused_in_one_line(here, capsys, arguments, said):
    assert serve(*arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["serve.parquet", "serve.nsys-rep", "serve.log"])
def test_results_that_exist_are_kept_without_force(here, capsys, name):
    (here / name).write_text("mine")
    assert serve("--", "true") == 2
    assert f"{name} exists already" in capsys.readouterr().err
    assert (here / name).read_text() == "mine"
    assert serve("--force", "--", "true") == 0


def test_without_nsys_the_error_names_the_variable(here, monkeypatch, capsys):
    monkeypatch.delenv("NSYS")
    monkeypatch.setattr(programs, "candidates", lambda *_: [])
    assert serve("--", "true") == 2
    assert "variable NSYS" in capsys.readouterr().err


def test_capture_ranges_are_passed_on(tmp_path):
    plan = Plan(tmp_path / "x", "s", capture_range="nvtx", nvtx_capture="step@llm")
    words = profile_command("nsys", plan, ["cmd", "--flag"])
    assert words[-2:] == ["cmd", "--flag"]
    assert {"--capture-range=nvtx", "--nvtx-capture=step@llm"} <= set(words)


@pytest.mark.parametrize(
    ("more", "end"),
    [(["--load", "true"], "stop"), ([], "stop-shutdown"), (["--duration", "5"], "stop-shutdown")],
)
def test_the_capture_range_ends_the_server_where_no_load_does(here, capsys, more, end):
    options = ["--print", "--ready-text", "up", "--capture-range", "cudaProfilerApi"]
    assert serve(*options, *more, "--", "x") == 0
    assert f"--capture-range-end={end} x" in capsys.readouterr().out


def test_a_ready_server_without_a_load_is_waited_for(here):
    works = "import time; print('server is up', flush=True); time.sleep(1); open('worked', 'w')"
    ready = ["--ready-text", "up", "--capture-range", "cudaProfilerApi"]
    assert serve(*ready, "--", sys.executable, "-c", works) == 0
    assert (here / "worked").exists()
    assert "stop" not in [words[0] for words in calls(here)]


def test_a_stubborn_server_is_killed_in_the_end(tmp_path, monkeypatch):
    import signal

    quick = ((signal.SIGINT, 0.2), (signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0))
    monkeypatch.setattr("harness.nsys.group.SIGNALS", quick)
    ignore = (
        "import signal as s, time; [s.signal(n, s.SIG_IGN) for n in (2, 15)]; "
        "print('up', flush=True); time.sleep(60)"
    )
    up = Lines("up")
    with Server([sys.executable, "-c", ignore], tmp_path / "log", up.watch) as server:
        server.until(up, 20, "it printed")
        assert server.end() == "SIGKILL"
    assert server.code == -9


def test_what_a_server_leaves_behind_is_killed(tmp_path):
    parent = "import subprocess as s; print(s.Popen(['sleep', '60']).pid, flush=True)"
    log = tmp_path / "log"
    with Server([sys.executable, "-c", parent], log) as server:
        assert server.wait(20) == 0
    assert ends(int(log.read_text()))


def test_a_server_that_cannot_be_started_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot start"):
        Server(["/no/such/program"], tmp_path / "log")
    with Server(["true"], tmp_path / "log") as server:
        server.wait(5)
        with pytest.raises(ServerError, match="before anything"):
            server.until(lambda: False, 5, "anything")


def test_processes_are_summed_up_with_their_share():
    columns = {
        "kind": ["kernel", "kernel", "memcpy", "kernel", "op"],
        "name": ["a", "b", "HtoD", "c", "aten::mm"],
        "start_ns": [0, 10, 20, 5, None],
        "end_ns": [10, 30, 25, 15, None],
        "process": [1, 1, 1, 2, 3],
        "device": [0, 1, 0, 0, None],
        "graph_node": [None, 7, None, None, None],
    }
    table = process_summary(Trace(activities_table(columns), TraceInfo("test")))
    assert table.schema.equals(PROCESSES)
    assert table.to_pylist() == [
        {
            "process": 1,
            "devices": [0, 1],
            "kernels": 2,
            "kernels_in_graphs": 1,
            "copies": 1,
            "kernel_ns": 30,
            "share_of_kernel_time": 0.75,
            "first_ns": 0,
            "last_ns": 30,
        },
        {
            "process": 2,
            "devices": [0],
            "kernels": 1,
            "kernels_in_graphs": 0,
            "copies": 0,
            "kernel_ns": 10,
            "share_of_kernel_time": 0.25,
            "first_ns": 5,
            "last_ns": 15,
        },
    ]


def test_without_kernel_time_no_share_is_known():
    copies = {"kind": ["memcpy"], "name": ["HtoD"], "start_ns": [0], "end_ns": [9], "process": [1]}
    table = process_summary(Trace(activities_table(copies), TraceInfo("test")))
    assert table["share_of_kernel_time"].to_pylist() == [None]


def test_an_empty_trace_has_no_processes():
    assert process_summary(Trace(activities_table({}), TraceInfo("test"))).num_rows == 0
