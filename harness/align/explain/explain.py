"""Put causes under the checks that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.align.explain.facts import gather
from harness.align.explain.outcomes import check_facts
from harness.align.explain.rules import SHIPPED, Facts, read_rulebook
from harness.align.model import Cause, CheckResult, Status
from harness.align.observation import Observation

NO_SIGNAL = "no signal"
"""Stands in a rule's ``checks`` where nothing could be compared."""

LOCATE = "locate"
"""Likewise, where an operator was looked for in a model's Trace."""

_EXPLAINED = (Status.FAIL, Status.KNOWN)


def explained(
    observed: Observation,
    checks: tuple[CheckResult, ...],
    case: Mapping[str, Any],
    path: Path = SHIPPED,
) -> tuple[CheckResult, ...]:
    """The same checks, each failed one with its causes, best supported first.

    Args:
        observed: what was judged.
        checks: the judgement's, before known differences are applied.
        case: as for `harness.align.explain.facts.gather`.
        path: of the rules.

    Raises:
        InputError: the rules cannot be used.
    """
    if not any(check.status in _EXPLAINED for check in checks):
        return checks
    book = read_rulebook(path)
    facts = gather(observed, checks, case, book)
    return tuple(
        replace(check, causes=book.causes(check.name, {**facts, **check_facts(check)}))
        if check.status in _EXPLAINED
        else check
        for check in checks
    )


def causes_of_silence(observed: Observation, path: Path = SHIPPED) -> tuple[Cause, ...]:
    """Why there may be nothing to compare."""
    book = read_rulebook(path)
    return book.causes(NO_SIGNAL, gather(observed, (), {}, book))


def causes_of_an_empty_file(
    label: str, calls: int | None = None, path: Path = SHIPPED
) -> tuple[Cause, ...]:
    """The same of a file whose reader found nothing that a GPU ran (`NoSignalError`).

    Args:
        label: ``mock`` or ``reference``.
        calls: API calls in the file, where its reader knows.
        path: of the rules.
    """
    facts: Facts = {"empty_sides": 1, "empty_side": label, "calls_of_empty_sides": calls}
    return causes_for(NO_SIGNAL, facts, path)


def causes_for(check: str, facts: Facts, path: Path = SHIPPED) -> tuple[Cause, ...]:
    """Causes from facts that a caller gathered itself (`LOCATE`: see causes.toml)."""
    return read_rulebook(path).causes(check, facts)
