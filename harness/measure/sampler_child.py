"""The process that samples a card: ``python -m harness.measure.sampler_child UUID KIND``.

It answers one JSON line per command on its standard input: ``begin SECONDS`` (after the first
reading) and ``end`` (with what was kept). It ends when its input does, so it never outlives the
process that started it. It imports no torch and opens no CUDA context.
"""

from __future__ import annotations

import json
import select
import signal
import sys
import time
from typing import IO, Any

from harness.errors import HarnessError
from harness.measure.nvml import Nvml, nvml
from harness.measure.sampling import KEEPERS, Keeper


def serve(card: Nvml, uuid: str, kind: str, commands: IO[str], answers: IO[str]) -> None:
    """Sample as commanded until ``commands`` ends."""
    while line := commands.readline():
        period_s = float(line.removeprefix("begin "))
        keeper = KEEPERS[kind](card, uuid, period_s)
        problem = _add(keeper)
        _answer(answers, {"error": problem} if problem else {})
        if not problem:
            problem = _sample_until_told(keeper, period_s, commands)
            _answer(answers, {"error": problem} if problem else keeper.result())


def _sample_until_told(keeper: Keeper, period_s: float, commands: IO[str]) -> str:
    """What went wrong on the way; empty when nothing did."""
    problem = ""
    while not select.select([commands], [], [], None if problem else period_s)[0]:
        problem = _add(keeper)
    commands.readline()  # "end", or nothing when the other process is gone
    return problem or _add(keeper)


def _add(keeper: Keeper) -> str:
    try:
        keeper.add(time.monotonic())
    except HarnessError as error:
        return str(error)
    return ""


def _answer(answers: IO[str], found: dict[str, Any]) -> None:
    answers.write(json.dumps(found) + "\n")
    answers.flush()


def main() -> None:
    """Serve this process's standard streams."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    uuid, kind = sys.argv[1:]
    try:
        card = nvml()
    except HarnessError as error:
        sys.stdin.readline()
        _answer(sys.stdout, {"error": str(error)})
        return
    try:
        serve(card, uuid, kind, sys.stdin, sys.stdout)
    except BrokenPipeError:  # nobody is left to answer
        sys.stderr.close()


if __name__ == "__main__":
    main()
