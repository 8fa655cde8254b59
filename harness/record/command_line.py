"""What a foreign command line tells before it runs: whether it starts Python, and what."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError

STARTERS = frozenset(
    (
        *("bash", "dash", "fish", "sh", "zsh", "env", "sudo", "xargs", "make", "time", "timeout"),
        *("nice", "nohup", "setsid", "stdbuf", "chrt", "ionice", "numactl", "taskset", "prlimit"),
        *("mpirun", "mpiexec", "prterun", "srun", "strace", "gdb"),
        *("conda", "mamba", "micromamba", "pixi", "poetry", "uv"),
    )
)
"""Programs that often start Python, although nothing in their arguments may say so."""

_IGNORING = {"E": "ignores PYTHONPATH", "I": "ignores PYTHONPATH", "S": "skips sitecustomize"}
_TAKING_A_VALUE = "WX"


def check_command(command: Sequence[str]) -> None:
    """Refuse what cannot be recorded as far as that can be told beforehand.

    Raises:
        InputError: there is no such program, it cannot start Python, or it starts Python with an
            option that keeps the recorder out.
    """
    program = shutil.which(command[0])
    if program is None:
        there = Path(command[0])
        fix = "check the name and PATH"
        if there.is_file():
            fix = f"make it executable, or put python before it: python {command[0]} ..."
        raise InputError(f"there is no program {command[0]} that can be run", fix=fix)
    if _is_python(program):
        _check_options(command)
    elif not (_is_script(program) or _starts_something(command)):
        raise InputError(
            f"{Path(program).name} does not start Python, and only what uses CUDA through torch in "
            "Python is recorded",
            fix="pass the command that runs the script: harness record -- python script.py",
        )


def default_output(command: Sequence[str]) -> Path:
    """``<script>.trace.parquet`` in the current folder, by the first word that is a script or
    follows ``-m``; by the program's name where there is none."""
    words = list(command)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.endswith(".py"):
            return Path(f"{Path(word).stem}.trace.parquet")
        if word == "-m" and following:
            return Path(f"{following}.trace.parquet")
        if word == "-c":
            break
    return Path(f"{Path(command[0]).name}.trace.parquet")


def _is_python(program: str) -> bool:
    return Path(program).name.startswith(("python", "pypy"))


def _is_script(program: str) -> bool:
    """Whether a file begins with ``#!``. Any interpreter may do: pip's programs, which are Python,
    and scripts of the shell, which may start it."""
    try:
        with Path(program).open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _starts_something(command: Sequence[str]) -> bool:
    if Path(command[0]).name in STARTERS:
        return True
    return any("python" in Path(word).name or word.endswith(".py") for word in command[1:])


def _check_options(command: Sequence[str]) -> None:
    skip = False
    for word in command[1:]:
        if skip:
            skip = False
            continue
        if not word.startswith("-") or word in ("-", "--"):
            return
        if word.startswith("--"):
            continue
        for position, letter in enumerate(word[1:], start=2):
            if letter in _IGNORING:
                raise InputError(
                    f"python -{letter} {_IGNORING[letter]}, through which the recorder comes in",
                    fix=f"leave -{letter} out",
                )
            if letter in "cm":
                return
            if letter in _TAKING_A_VALUE:
                skip = position == len(word)
                break
