"""A program that answers like ``nsys`` as far as the harness asks it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

BODY = '''#!{python}
"""profile runs the command until stop is called; a report is a copy of a SQLite export."""
import json, os, pathlib, shutil, signal, subprocess, sys, time

EXPORT, LOG = {export!r}, {log!r}
words = sys.argv[1:]
with open(LOG, "a") as log:
    log.write(json.dumps(words) + "\\n")
flag = pathlib.Path(LOG).with_suffix(".stop")
if words == ["--version"]:
    print("NVIDIA Nsight Systems version 2025.3.1.90-255335750325v0")
elif words[0] == "profile":
    options = [word for word in words[1:] if word.startswith("--")]
    command = words[1 + next(i for i, word in enumerate(words[1:]) if not word.startswith("--")) :]
    output = next(word for word in options if word.startswith("--output=")).partition("=")[2]
    child = subprocess.Popen(command)
    signal.signal(signal.SIGINT, lambda *_: flag.touch())
    while child.poll() is None and not flag.exists():
        time.sleep(0.02)
    if child.poll() is None and not {stubborn}:
        child.terminate()
    code = child.wait()
    if EXPORT:
        shutil.copy(EXPORT, output + ".nsys-rep")
    sys.exit(max(code, 0))
elif words[0] == "stop":
    if {stop_fails}:
        print("No such session")
        sys.exit(1)
    flag.touch()
elif words[0] == "start":
    pass
elif words[0] == "export":
    if {export_fails}:
        print("Failed to open report: unsupported version")
        sys.exit(1)
    shutil.copy(words[-1], words[words.index("--output") + 1])
else:
    sys.exit("unknown " + words[0])
'''


def fake_nsys(
    folder: Path,
    export: Path | None,
    *,
    stop_fails: bool = False,
    export_fails: bool = False,
    stubborn: bool = False,
) -> Path:
    """Write it; calls are logged in ``calls.jsonl`` beside it, one list of words a line."""
    path = folder / "nsys"
    text = BODY.format(
        python=sys.executable,
        export=str(export) if export else "",
        log=str(folder / "calls.jsonl"),
        stop_fails=stop_fails,
        export_fails=export_fails,
        stubborn=stubborn,
    )
    path.write_text(text)
    path.chmod(0o755)
    return path


def ends(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process ends in time; one that nobody waited for has ended, too."""
    deadline = time.monotonic() + seconds
    while _running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _running(pid)


def _running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
