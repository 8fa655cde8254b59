"""From what a user typed, or a file, to the cases of a run."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import InputError
from ops.case import PHASES, Case, Phase, resolve_sizes
from ops.spec import OpSpec

FIELDS = ("phase", "tp", "batch_size", "seq_len", "kv_len", "dtype")
"""What a case of a file may set; what it leaves out comes from the command line."""


def whole_numbers(text: str, option: str) -> list[int]:
    """``1,8`` as numbers.

    Raises:
        InputError: a part is not a whole number of at least 1.
    """
    numbers = []
    for part in text.split(","):
        try:
            number = int(part)
        except ValueError:
            number = 0
        if number < 1:
            raise InputError(
                f"{option} {text!r}: {part.strip()!r} is not a whole number of at least 1",
                fix="separate whole numbers by commas, for example 1,8",
            )
        numbers.append(number)
    return numbers


def cases_of_options(
    op: OpSpec, framework: str, file: Path | None, sizes: Mapping[str, Any]
) -> list[Case]:
    """The cases that the command line, and a file of ``--cases``, ask for.

    Args:
        op: each case is checked against its model.
        framework: of every case.
        file: of ``--cases``, or None.
        sizes: what was typed after --tp, --batch-size, --seq-len, --kv-len, --phase, --dtype.

    Raises:
        InputError: a size is wrong, or a list stands beside a file.
    """
    numbers = {
        name: None if sizes[name] is None else whole_numbers(sizes[name], _option(name))
        for name in ("tp", "batch_size", "seq_len", "kv_len")
    }
    phases = [part.strip() for part in sizes["phase"].split(",")]
    if file is None:
        made = cases_of(op.name, framework, phases, numbers, sizes["dtype"])
    else:
        for name, values in {**numbers, "phase": phases}.items():
            if values and len(values) > 1:
                raise InputError(f"{_option(name)} is a list beside --cases", fix="use one of them")
        defaults: dict[str, Any] = {name: v[0] for name, v in numbers.items() if v}
        defaults |= {"phase": phases[0], "dtype": sizes["dtype"]}
        made = cases_from_file(file, op.name, framework, defaults)
    for case in made:
        op.validate(case)
    return made


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def cases_of(
    op: str,
    framework: str,
    phases: Sequence[str],
    lists: Mapping[str, Sequence[int] | None],
    dtype: str,
) -> list[Case]:
    """Every combination of the listed sizes, in the order typed.

    Args:
        op, framework, dtype: of every case.
        phases: context, generation or both.
        lists: ``tp``, ``batch_size``, ``seq_len``, ``kv_len``; None where not given.

    Raises:
        InputError: a combination is not a case (see `ops.case.Case`).
    """
    made = []
    names = ("tp", "batch_size", "seq_len", "kv_len")
    options: list[Sequence[int | None]] = [lists.get(name) or [None] for name in names]
    for phase in phases:
        for combination in itertools.product(*options):
            given = dict(zip(names, combination, strict=True))
            made.append(make_case(op, framework, {"phase": phase, "dtype": dtype, **given}))
    return list(dict.fromkeys(made))


def cases_from_file(path: Path, op: str, framework: str, defaults: Mapping[str, Any]) -> list[Case]:
    """The cases of a TOML file (``[[case]]`` tables) or a JSON file (a list of objects).

    Raises:
        InputError: the file cannot be read, or one of its cases is not one; says which.
    """
    made = []
    for number, entry in enumerate(_entries(path), start=1):
        unknown = set(entry) - set(FIELDS)
        if unknown:
            raise InputError(
                f"case {number} of {path} sets {', '.join(sorted(unknown))}",
                fix=f"use only {', '.join(FIELDS)}",
            )
        try:
            made.append(make_case(op, framework, {**defaults, **entry}))
        except InputError as error:
            raise InputError(f"case {number} of {path}: {error.what}", fix=error.fix) from error
    if not made:
        raise InputError(f"{path} holds no case", fix="add [[case]] tables")
    return list(dict.fromkeys(made))


def _entries(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = path.read_text()
        if path.suffix == ".json":
            entries = json.loads(text)
        else:
            entries = tomllib.loads(text).get("case", [])
    except OSError as error:
        raise InputError(
            f"cannot read {path} ({error.strerror})", fix="check the path of --cases"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is neither TOML nor, as .json, JSON ({error})", fix="mend the file"
        ) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(
            f"{path} does not hold a list of cases",
            fix="write [[case]] tables in TOML, or a JSON list of objects",
        )
    yield from entries


def make_case(op: str, framework: str, given: Mapping[str, Any]) -> Case:
    """A case from sizes that may be None: one request, 4,096 tokens, tp 1 unless given.

    Raises:
        InputError: a size or the phase is wrong.
    """
    phase: Phase = given["phase"]
    if phase not in PHASES:
        raise InputError(f"unknown phase {phase!r}", fix=f"use one of {', '.join(PHASES)}")
    for name in ("seq_len", "kv_len"):
        value = given.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise InputError(f"{name} is {value!r}", fix="give a whole number of at least 1")
    seq_len, kv_len = resolve_sizes(phase, given.get("seq_len"), given.get("kv_len"))
    return Case(
        op=op,
        phase=phase,
        tp=_or(given.get("tp"), 1),
        batch_size=_or(given.get("batch_size"), 1),
        seq_len=seq_len,
        kv_len=kv_len,
        dtype=given["dtype"],
        framework=framework,
    )


def _or(value: Any, default: int) -> Any:
    return default if value is None else value
