"""Files that are no sound trace of torch.profiler: an error that says why, or a reason."""

from __future__ import annotations

import gzip
import json
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, InputError, NoSignalError, TraceFormatError
from harness.record.files.kineto import document as document_module
from harness.record.files.kineto import read_kineto, source
from tests.kineto_support import B200, H100, content, document, event, written

KERNEL = event("kernel", correlation=1, grid=[1, 1, 1], block=[1, 1, 1])
TEXT = json.dumps({"schemaVersion": 1, "traceEvents": [KERNEL, event("cpu_op", "a")]})
EXCERPT = 300
"""Events of a real file that fuzzing changes."""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "trace.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("null", "no JSON object or array"),
        ("PAR1", "no JSON object or array"),
        ("{}", "without traceEvents"),
        ('{"a": [1, 2], "b": "}"}', "without traceEvents"),
        ('{"traceEvents": {}}', "is not one array"),
        ('{"traceEvents": [], "traceEvents": []}', "is not one array"),
        ('{"traceEvents": [1]}', "Expected `object`, got `int`"),
        ('{"traceEvents": [{"ph": 1}]}', "Expected `str | null`, got `int`"),
        (TEXT[:-1], "ends too early"),
        (TEXT[:-20], "ends too early"),
        (TEXT + "}", "something follows"),
        (TEXT.replace("}, {", "} {"), "expected ,"),
        (TEXT.replace("}, {", "}, , {"), "no value begins"),
        (TEXT.replace("]}", "]]}"), "closes what it did not open"),
        (TEXT.replace('"ts": 1', '"ts": "x"'), "is no time"),
        (TEXT.replace('"ts": 1, ', ""), "is no time"),
        (TEXT.replace('"ts": 1', '"ts": 1e300'), "no trace of torch.profiler has"),
        (TEXT.replace('"grid": [1, 1, 1]', '"grid": [1, 1]'), "array"),
        (TEXT.replace('"grid": [1, 1, 1]', '"grid": [-1, 1, 1]'), "dim3"),
        (TEXT.replace('"correlation": 1', '"correlation": 1e40'), "correlation"),
        (TEXT.replace('"correlation": 1', '"device": 5000000000'), "no trace of torch.profiler"),
        ('{"baseTimeNanoseconds": "x", ' + TEXT[1:], "baseTimeNanoseconds"),
    ],
)
def test_what_is_no_trace_is_an_error_that_says_why(file, text, says):
    with pytest.raises(TraceFormatError) as caught:
        read_kineto(file(text))
    assert says in str(caught.value)
    assert caught.value.fix


def test_a_missing_file_or_a_folder_is_a_wrong_input(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_kineto(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_kineto(tmp_path)


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([], "0 other events"),
        ([event("cpu_op"), event("python_function")], "2 other events"),
        ([event("cuda_runtime", "cudaLaunchKernel")], "CUPTI delivered no activities"),
        ([event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)")], "only memcpy"),
        ([{"ph": "B", "name": "x", "ts": 1}, {"ph": "E", "ts": 2}], "holds no kernel"),
    ],
)
def test_a_trace_without_kernels_is_no_signal_with_the_reason(tmp_path, events, says):
    with pytest.raises(NoSignalError, match=says) as caught:
        read_kineto(written(tmp_path, events))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("keep", [0.0001, 0.3, 0.9, 0.9999])
def test_a_cut_gzip_is_an_error(file, keep):
    whole = H100.read_bytes()
    with pytest.raises(TraceFormatError):
        read_kineto(file(whole[: int(len(whole) * keep)]))


def test_a_flipped_bit_in_a_gzip_is_an_error(file):
    whole = bytearray(H100.read_bytes())
    whole[len(whole) // 2] ^= 8
    with pytest.raises(TraceFormatError):
        read_kineto(file(bytes(whole)))


def test_an_array_of_events_alone_is_a_trace_too(file):
    assert len(read_kineto(file(json.dumps([KERNEL])))) == 1


def test_numbers_and_signs_that_are_no_json_are_read_and_noted(file):
    odd = (
        TEXT.replace('"name": "k"', '"name": "a\tb inf nan \xff"')
        .replace(
            '"grid"', '"memory bandwidth (GB/s)": inf, "x": [nan, -inf, NaN, -Infinity], "grid"'
        )
        .encode("latin-1")
    )
    trace = read_kineto(file(odd))
    assert trace.activities["name"].to_pylist() == ["a\tb inf nan �"]
    assert trace.activities["start_ns"].to_pylist() == [1000]
    assert any("not all JSON" in note for note in trace.info.notes)


def test_a_negative_or_missing_duration_leaves_no_end_and_is_said(tmp_path):
    events = [event("kernel", dur=-3), {k: v for k, v in KERNEL.items() if k != "dur"}]
    trace = read_kineto(written(tmp_path, events))
    assert trace.activities["end_ns"].to_pylist() == [None, None]
    said = " ".join(trace.info.incomplete)
    assert "2 activities have no sound duration" in said
    assert "1 events have a negative duration" in said


@pytest.fixture
def small_pieces(monkeypatch):
    """Chunks of a few hundred bytes, so that every cut is tried."""
    monkeypatch.setattr(source, "CHUNK", 512)
    monkeypatch.setattr(document_module, "_SMALL", 128)


NASTY = [
    "a},{b",
    '"},{"',
    '\\"}, {\\',
    "}]},[{",
    '{"ph": "X"}, {"ph": "X"}',
    "é\u2028\\u00e9\\\\",
]


@pytest.mark.parametrize("indent", [None, 1])
def test_no_cut_goes_through_a_string_or_a_nested_object(tmp_path, small_pieces, indent):
    nested = {"list": [{"x": 1}, {"y": [{"z": "},{"}, {}]}], "text": "}, {" * 40}
    events = [
        {**event("kernel", name * (1 + at % 9), ts=at + 1, correlation=at), "other": nested}
        for at, name in enumerate(NASTY * 30)
    ]
    path = tmp_path / "trace.json"
    header = {"odd": nested, "deviceProperties": [{"id": 0}, {"id": 1}]}
    path.write_text(
        json.dumps(
            {**header, "traceEvents": events, **{f"{k}2": header[k] for k in header}}, indent=indent
        )
    )
    trace = read_kineto(path)
    assert trace.activities["name"].to_pylist() == [one["name"] for one in events]
    assert trace.info.gpu["devices"] == 2


def test_pieces_of_any_size_give_the_same_trace(tmp_path, monkeypatch):
    whole = read_kineto(B200)
    path = tmp_path / "trace.json"
    path.write_bytes(content(B200))
    for size in (1 << 13, 1 << 16, 1 << 19):
        monkeypatch.setattr(source, "CHUNK", size)
        monkeypatch.setattr(document_module, "_SMALL", size // 4)
        assert read_kineto(path).activities.equals(whole.activities)


def test_an_event_without_end_does_not_fill_the_memory(file, monkeypatch):
    monkeypatch.setattr(source, "CHUNK", 1 << 12)
    monkeypatch.setattr(document_module, "LARGEST", 1 << 15)
    endless = '{"traceEvents": [{"name": "' + "x" * (1 << 17)
    with pytest.raises(TraceFormatError, match="does not end within"):
        read_kineto(file(endless))


@cache
def excerpt():
    """The first and last events of a real file, as torch writes it."""
    whole = document(H100)
    events = whole["traceEvents"]
    kernels = [one for one in events if one.get("cat") == "kernel"][:EXCERPT]
    whole["traceEvents"] = events[:EXCERPT] + kernels + events[-EXCERPT:]
    return json.dumps(whole, indent=2, default=float).encode()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_files_are_read_or_refused_and_never_crash(tmp_path, data):
    text = bytearray(excerpt())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        how = data.draw(st.sampled_from(["replace", "insert", "delete", "copy", "cut"]))
        piece = data.draw(
            st.sampled_from([b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\0", b"\xff", b"-1",
                             b"9" * 30, b"null", b"nan", b'"x"', b"},{", b"1e400"])
        )  # fmt: skip
        if how == "replace":
            text[at : at + len(piece)] = piece
        elif how == "insert":
            text[at:at] = piece
        elif how == "delete":
            del text[at : at + data.draw(st.integers(1, 200))]
        elif how == "copy":
            text[at:at] = text[at : at + data.draw(st.integers(1, 2000))]
        else:
            del text[at:]
        if not text:
            break
    _reads_or_refuses(tmp_path / "trace.json", bytes(text))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.floats(0, 1), bit=st.integers(0, 7))
def test_changed_gzip_files_are_refused_or_as_before(tmp_path, at, bit):
    zipped = bytearray(gzip.compress(excerpt(), 1))
    zipped[int(at * (len(zipped) - 1))] ^= 1 << bit
    _reads_or_refuses(tmp_path / "trace.json.gz", bytes(zipped))


def _reads_or_refuses(path, content):
    """No sound JSON is refused for its form, and what is no JSON is never read as complete."""
    path.write_bytes(content)
    try:
        trace = read_kineto(path)
    except HarnessError:
        return
    assert trace.of_kind("kernel").activities.num_rows
    if not any("not all JSON" in note for note in trace.info.notes):
        plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        json.loads(plain.decode("utf-8", "replace"))


def test_times_that_no_clock_gives_are_refused(tmp_path):
    path = written(tmp_path, [event("kernel", ts=9e15), event("kernel")], baseTimeNanoseconds=1)
    with pytest.raises(TraceFormatError, match="which no clock gives"):
        read_kineto(path)
