"""One profile of a server: start, ready, load, stop, read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.errors import HarnessError, InputError, NoSignalError
from harness.nsys.plan import Plan, profile_command
from harness.nsys.server import Lines, Server, answers
from harness.programs import Program
from harness.record.files.nsys.program import run_nsys
from harness.record.files.nsys.rep import read_nsys_rep
from harness.trace import Trace

STOP_TIMEOUT_S = 900.0
"""``nsys stop`` returns when the report is written, which takes minutes for gigabytes."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """When a server is ready and what it then has to do.

    Attributes:
        url: answers with 2xx once it is ready; empty: not asked.
        text: pattern of a line of its output; None: not looked for.
        timeout: seconds to become ready.
        load: command that makes it work; empty: none.
    """

    url: str = ""
    text: Lines | None = None
    timeout: float = 600.0
    load: Sequence[str] = ()

    @property
    def waits(self) -> bool:
        """Whether there is a sign of readiness."""
        return bool(self.url or self.text)


@dataclass
class Profiled:
    """What came of it.

    Attributes:
        trace: the kernels of all processes.
        load_code: exit code of the load command; 0 where there was none.
        notes: what did not go as planned.
    """

    trace: Trace
    load_code: int = 0
    notes: list[str] = field(default_factory=list)


def profile(
    program: Program, plan: Plan, command: Sequence[str], request: Request, say: Say
) -> Profiled:
    """Run a server under nsys and read every process's kernels.

    Collection stops when the load has ended. Without a load the server is waited for until it
    ends: by nsys, after the duration or when the capture range closes, or by itself.

    Args:
        program: nsys.
        plan: what is recorded.
        command: the server.
        request: readiness and load.
        say: told what happens, a sentence at a time.

    Raises:
        ServerError: it was not ready.
        NoSignalError: nsys wrote no report, or one without kernels.
        InputError: a program cannot be run.
    """
    log = plan.log
    watch = request.text.watch if request.text else lambda _line: None
    notes: list[str] = []
    plan.report.unlink(missing_ok=True)
    say(f"starting the server, its output goes to {log}")
    with Server(profile_command(program.path, plan, command), log, watch) as server:
        code = _drive(program, plan, server, request, say)
        notes += _stop(program, plan, server, say)
    say("reading the report")
    if not plan.report.is_file():
        raise NoSignalError(
            f"nsys wrote no report {plan.report}", fix=f"read what it says in {log}"
        )
    trace = read_nsys_rep(plan.report)
    info = replace(trace.info, notes=(*trace.info.notes, *notes))
    return Profiled(replace(trace, info=info), code, notes)


def _drive(program: Program, plan: Plan, server: Server, request: Request, say: Say) -> int:
    if request.url:
        server.until(lambda: answers(request.url), request.timeout, f"{request.url} answered")
    if request.text:
        server.until(request.text, request.timeout, "its output had the line of --ready-text")
    if request.waits:
        say("the server is ready")
    if plan.from_ready:
        run_nsys(program, ["start", f"--session={plan.session}"], STOP_TIMEOUT_S)
    if request.load:
        say("running the load")
        code = _load(request.load)
        say(f"the load ended with code {code}")
        return code
    server.wait()  # nsys ends it when collection is over, or it ends by itself
    return 0


def _load(command: Sequence[str]) -> int:
    try:
        return subprocess.run(list(command), check=False, stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        raise InputError(
            f"the load {command[0]} cannot be started ({error.strerror})",
            fix="check that it runs by itself",
        ) from error


def _stop(program: Program, plan: Plan, server: Server, say: Say) -> list[str]:
    """End collection and the server; what went otherwise than planned."""
    if server.code is not None:
        return []
    say("stopping collection")
    notes = []
    try:
        run_nsys(program, ["stop", f"--session={plan.session}"], STOP_TIMEOUT_S)
        server.wait(STOP_TIMEOUT_S if not plan.report.is_file() else 30)
    except HarnessError as error:
        notes.append(f"nsys stop failed ({error.what}); the server was interrupted instead")
    used = server.end()
    if used and not notes:
        notes.append(f"the server did not end when collection was stopped; it took {used}")
    return notes
