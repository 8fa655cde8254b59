"""The ``nsys profile`` command for a server of several processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError

CAPTURE_RANGES = ("none", "cudaProfilerApi", "nvtx")

TRACING = (
    "--trace=cuda,nvtx",
    "--cuda-graph-trace=node",
    "--sample=none",
    "--cpuctxsw=none",
    "--force-overwrite=true",
)
"""Options of every ``nsys profile`` that is run here. ``--cuda-graph-trace=node`` gives every
kernel of a graph its own row. CPU sampling and context switches are off: they need rights and
perturb."""


@dataclass(frozen=True)
class Plan:
    """What is to be recorded of a server, and when.

    Attributes:
        output: the report without ``.nsys-rep``.
        session: name under which ``nsys stop`` finds it.
        delay: seconds before collection starts; None at once.
        duration: seconds of collection; None until it is stopped.
        from_ready: collection starts when the server is ready, by ``nsys start``.
        capture_range: ``none``, or who opens and closes it: ``cudaProfilerApi``
            (cudaProfilerStart and Stop, such as vLLM's ``/start_profile``) or ``nvtx``.
        nvtx_capture: ``range@domain`` for ``nvtx``.
        capture_range_end: ``stop-shutdown`` ends the server when the range closes, ``stop`` only
            collection, for a server that something else ends.

    Raises:
        InputError: options that exclude each other, or a name that nsys would change.
    """

    output: Path
    session: str
    delay: float | None = None
    duration: float | None = None
    from_ready: bool = False
    capture_range: str = "none"
    nvtx_capture: str = ""
    capture_range_end: str = "stop-shutdown"

    def __post_init__(self) -> None:
        ways = {
            "--delay": self.delay is not None,
            "--from-ready": self.from_ready,
            "--capture-range": self.capture_range != "none",
        }
        given = [name for name, used in ways.items() if used]
        if len(given) > 1:
            raise InputError(
                f"{' and '.join(given)} both say when collection starts", fix="use one of them"
            )
        if "%" in str(self.output):
            raise InputError(
                f"--out {self.output} has a %, which nsys replaces by facts of its own",
                fix="name results without it",
            )
        if bool(self.nvtx_capture) != (self.capture_range == "nvtx"):
            raise InputError(
                "--capture-range nvtx and --nvtx-capture belong together",
                fix="name the range: --capture-range nvtx --nvtx-capture RANGE@DOMAIN",
            )

    @property
    def report(self) -> Path:
        """The report that nsys writes."""
        return self.output.with_name(self.output.name + ".nsys-rep")

    @property
    def log(self) -> Path:
        """What nsys and the server print."""
        return self.output.with_name(self.output.name + ".log")


def profile_command(program: str, plan: Plan, command: Sequence[str]) -> list[str]:
    """The whole command as a list of arguments, for no shell.

    Beside `TRACING`, ``--trace-fork-before-exec=true`` follows workers that were forked and did
    not exec (Nsight Systems user guide, CLI options of ``profile``).

    Args:
        program: path of nsys.
        plan: what and when.
        command: the server's program and arguments.
    """
    options = [
        *TRACING,
        "--trace-fork-before-exec=true",
        f"--session-new={plan.session}",
        f"--output={plan.output}",
    ]
    if plan.delay is not None:
        options.append(f"--delay={plan.delay:g}")
    if plan.duration is not None:
        options.append(f"--duration={plan.duration:g}")
    if plan.from_ready:
        options.append("--start-later=true")
    if plan.capture_range != "none":
        options.append(f"--capture-range={plan.capture_range}")
        options.append(f"--capture-range-end={plan.capture_range_end}")
    if plan.nvtx_capture:
        options.append(f"--nvtx-capture={plan.nvtx_capture}")
    return [program, "profile", *options, *command]
