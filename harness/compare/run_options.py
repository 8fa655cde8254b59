"""Options of ``compare`` that say what is run, and how they are checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.errors import InputError
from harness.measure.cache import CACHES
from harness.measure.paired import TIME_BUDGET_S
from harness.names import SHIPPED, EquivalenceClass
from harness.record.choose import recorder_names
from ops.case import DTYPES, PHASES
from ops.registry import framework_names

Command = TypeVar("Command", bound=Callable[..., Any])

EQUIVALENCES = {known.name: known for known in SHIPPED}

OF_A_RUN = (
    click.option("--op", "op_name", help="Operator of the catalogue, such as dsa."),
    click.option("--tp", default="1", help="Tensor-parallel size (local heads); a list: 1,8."),
    click.option("--phase", default="context", help=f"{' or '.join(PHASES)}; or both, by a comma."),
    click.option("--batch-size", default="1", help="Requests; a list: 1,8."),
    click.option("--seq-len", default=None, help="Context: new tokens per request [4096]; a list."),
    click.option(
        "--kv-len", default=None, help="KV length per request, new tokens included; a list."
    ),
    click.option("--dtype", default="bfloat16", help=f"One of {', '.join(DTYPES)}."),
    click.option("--cases", type=click.Path(path_type=Path), help="TOML or JSON file of cases."),
    click.option("--framework", default="auto", help=f"auto or {', '.join(framework_names())}."),
    click.option("--recorder", default="auto", help=f"auto or {', '.join(recorder_names())}."),
    click.option("--tolerance", default="1%", help="Of the latency ratio: 1% or 0.01."),
    click.option(
        "--instances",
        type=click.IntRange(min=1),
        default=None,
        help="Of each side that are timed, each in memory of its own [2, and more if needed].",
    ),
    click.option(
        "--cache",
        type=click.Choice(CACHES),
        default="warm",
        help="What the L2 holds when a timed call begins: warm, its own data; cold, none of it.",
    ),
    click.option(
        "--time-budget",
        type=click.FloatRange(min=0, min_open=True),
        default=TIME_BUDGET_S,
        help="Seconds of sampling per case after which the latency stays undecided.",
    ),
    click.option("--require", multiple=True, help="A check that may not be skipped; repeatable."),
    click.option(
        "--equivalent",
        multiple=True,
        help=f"Names that count as one; repeatable: {', '.join(EQUIVALENCES)}.",
    ),
    click.option(
        "--validate",
        type=click.Choice(("nsys",)),
        help="Run each case under nsys as well, in a process of its own, and compare the lists.",
    ),
    click.option(
        "--known",
        type=click.Path(path_type=Path),
        help="TOML file of declared differences, each with a reason and an end.",
    ),
    click.option("--submodules", is_flag=True, help="Compare what named submodules return, too."),
)
"""Options of ``compare`` that belong to a run, and those that runs and files share."""


def of_a_run(command: Command) -> Command:
    """Add `OF_A_RUN` to a command."""
    for option in reversed(OF_A_RUN):
        command = option(command)
    return command


def required_checks(names: Sequence[str]) -> frozenset[str]:
    """The checks that may not be skipped.

    Raises:
        InputError: there is no check of a name.
    """
    from harness.align.checks import CHECKS

    for name in names:
        if name not in CHECKS:
            raise InputError(f"--require {name}: no such check", fix=f"use {', '.join(CHECKS)}")
    return frozenset(names)


def equivalence_classes(names: Sequence[str]) -> tuple[EquivalenceClass, ...]:
    """The shipped classes of these names.

    Raises:
        InputError: there is no class of a name.
    """
    for name in names:
        if name not in EQUIVALENCES:
            known = ", ".join(EQUIVALENCES)
            raise InputError(f"--equivalent {name}: no such class", fix=f"use {known}")
    return tuple(EQUIVALENCES[name] for name in names)
