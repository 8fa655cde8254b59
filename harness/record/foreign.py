"""Runs a command that knows nothing of the harness, and gathers what its processes recorded."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import EXIT_UNDECIDED, InputError
from harness.record.inside import FAILED, INJECTION, OPTIONS, RECORDING, STARTED, TORCH, WRITTEN
from harness.record.spawn import spawn

INJECT = Path(__file__).parent / "inject"
ROOT = Path(__file__).parent.parent.parent

_REASONS = {
    STARTED: "its Python never imported torch",
    TORCH: "it never used CUDA through torch",
    RECORDING: "it ended without its exit handlers (os._exit, a signal or a crash)",
}


@dataclass(frozen=True)
class Wanted:
    """What is to be recorded.

    Attributes:
        recorder: name of a recorder that takes ``apis`` and ``nvtx``.
        apis: ``launch`` or ``all``; see `harness.record.cupti.CuptiRecorder`.
        nvtx: also NVTX ranges.
    """

    recorder: str = "cupti"
    apis: str = "launch"
    nvtx: bool = True


@dataclass(frozen=True)
class Recorded:
    """What one process of the command came to.

    Attributes:
        process: its id.
        stage: how far it came, of `harness.record.inside`.
        path: its Trace; None where there is none.
        error: why the recorder did not run; empty where it did.
        exit_code: that goes with the error.
        notes: what a reader should know.
    """

    process: int
    stage: str
    path: Path | None = None
    error: str = ""
    exit_code: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        code: its exit code; 128 + number of the signal that ended it, as shells count.
        process: its process id.
        processes: its Python processes, itself first; those that never used CUDA included.
    """

    code: int
    process: int
    processes: tuple[Recorded, ...] = field(default=())

    @property
    def traces(self) -> list[Recorded]:
        """The processes that left a Trace."""
        return [one for one in self.processes if one.path is not None]

    @property
    def failed(self) -> list[Recorded]:
        """The processes that used CUDA and left no Trace."""
        lost = (FAILED, RECORDING, WRITTEN)
        return [one for one in self.processes if one.path is None and one.stage in lost]

    @property
    def why_nothing(self) -> str:
        """Why there is no Trace, as a sentence without a trailing period."""
        if not self.processes:
            return "the command started no Python of version 3.11 or newer that loads sitecustomize"
        return _REASONS.get(self.processes[0].stage, "")


def why_lost(one: Recorded) -> str:
    """Why a process of `Ended.failed` left no Trace."""
    return one.error or _REASONS.get(one.stage, "its Trace is gone")


def run(command: Sequence[str], wanted: Wanted, output: Path) -> Ended:
    """Run a command as it is and record its Python processes that use CUDA through torch.

    Standard input, output and error are the caller's. Signals sent to this process are passed on;
    Ctrl-C reaches the command from the terminal. Python processes that the command starts are
    recorded too, each on its own.

    Args:
        command: program and arguments.
        wanted: what to record.
        output: the Trace of the command's own process, or of the only one that left any; of
            others ``<stem>.<pid>.parquet`` beside it. An existing file is replaced.

    Raises:
        InputError: the folder cannot be written to, or the command cannot be started.
    """
    try:
        # Beside the output, so that a finished Trace is moved in one step.
        holder = tempfile.TemporaryDirectory(
            prefix=f".{output.name}.", dir=output.parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise InputError(
            f"cannot write to {output} ({error.strerror})",
            fix="name a file in a folder that exists and that you may write to with --output",
        ) from error
    with holder as folder:
        process, code = spawn(command, _environment(wanted, folder))
        return Ended(code, process, _collect(Path(folder), process, output))


def _environment(wanted: Wanted, folder: str) -> dict[str, str]:
    options = {
        "folder": str(Path(folder).absolute()),
        "root": str(ROOT),
        "recorder": wanted.recorder,
        "apis": wanted.apis,
        "nvtx": wanted.nvtx,
        "injection": os.environ.get(INJECTION),
    }
    search = [str(INJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        OPTIONS: json.dumps(options),
        "PYTHONPATH": os.pathsep.join(search),
    }


def _collect(folder: Path, process: int, output: Path) -> tuple[Recorded, ...]:
    """Move the Traces to where they belong and read what became of each process."""
    statuses = {int(path.stem): _status(path) for path in folder.glob("*.json")}
    found = sorted(int(path.stem) for path in folder.glob("*.parquet"))
    main = found[0] if len(found) == 1 else process
    processes = []
    for pid in sorted(statuses, key=lambda one: (one != process, one)):
        path = None
        if pid in found:
            stem = output.name.removesuffix(".parquet")
            path = output if pid == main else output.with_name(f"{stem}.{pid}.parquet")
            (folder / f"{pid}.parquet").replace(path)
        status = statuses[pid]
        processes.append(
            Recorded(
                process=pid,
                stage=status["stage"],
                path=path,
                error=status.get("error", "") or _still_running(pid),
                exit_code=status.get("exit_code", EXIT_UNDECIDED),
                notes=tuple(status.get("notes", ())),
            )
        )
    return tuple(processes)


def _still_running(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "it outlived the command and still runs"


def _status(path: Path) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(path.read_text())
    return status
