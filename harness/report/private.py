"""Text without what is private to a machine: absolute paths and the user's name."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

MARK = ".../"
"""Stands in front of the last component of a path that was reduced."""

# An absolute path after the start, a separator or a quote; "https://host/path" has none.
_PATH = re.compile(
    r"(?P<before>^|[\s=:;,'\"(\[{@])(?P<path>(?:file://|~[\w.-]*)?/(?!/)[^\s:;,'\"()\[\]{}]*"
    r"|[A-Za-z]:\\[^\s;,'\"]*)"
)


def without_paths(text: str) -> str:
    """Absolute paths inside a text reduced to their last component, marked ``.../last``.

    The user's name inside such a component becomes ``~``. A text that is one path as a whole may
    hold spaces.
    """
    option, equals, value = text.partition("=")
    if equals and option.startswith("-") and value.startswith("/") and not _is_list(value):
        return f"{option}={_reduced(value)}"
    if text.startswith("/") and not _is_list(text):
        return _reduced(text)
    return _PATH.sub(lambda found: found["before"] + _reduced(found["path"]), text)


def _is_list(text: str) -> bool:
    return re.search(r"[:;,]", text) is not None


def _reduced(path: str) -> str:
    last = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    for name in _user_names():
        last = last.replace(name, "~")
    return MARK + last


def _user_names() -> set[str]:
    names = {os.environ.get("USER", ""), os.environ.get("LOGNAME", "")}
    with suppress(RuntimeError):  # there may be no home directory in a container
        names.add(Path.home().name)
    return {name for name in names if len(name) > 1}
