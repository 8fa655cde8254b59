"""Names for people: a kernel's demangled name, shortened until it fits."""

from __future__ import annotations

import re
from functools import lru_cache

from harness.names.cxx import split, split_template, strip_parameters, strip_return_type
from harness.names.demangle import demangle

USUAL_WIDTH = 140
"""Characters that a name may take where no width is asked for: what tells the elementwise kernels
of torch apart (``elementwise_kernel<..., BinaryFunctor<BFloat16, ..., MulFunctor<...>>...>``)."""

_LEVELS = ((4, 16), (3, 16), (2, 16), (2, 4), (1, 16), (1, 4), (1, 2), (0, 0))
"""(nesting shown, arguments shown per list), from the richest to the barest form of a name."""

_ANONYMOUS = re.compile(r"\(anonymous namespace\)|<unnamed>|`anonymous namespace'")
_CAST = re.compile(r"\((?:\w+::)*([\w ]+)\)(-?\w+)$")
_INTEGER = re.compile(r"(-?\d+)(?:u|l|ul|ll|ull)?$")
_LAMBDA = re.compile(r"[{\[]lambda(\(.*\))(?:#| \(instance )(\d+)\)?[}\]]$")
_POINTERS = re.compile(r"array<(?:char\*, \d+|\.\.\.)>$", re.IGNORECASE)
_NAMESPACES = re.compile(r"(?:\w+::)+")


@lru_cache(maxsize=65536)
def display_name(raw: str, kind: str = "kernel", width: int | None = None) -> str:
    """Shorten a name for a table or a sentence; never an identity.

    Args:
        raw: the recorded name of a kernel, mangled or not, or an identity key of any kind.
        kind: kind of activity; only kernels are shortened by C++ rules.
        width: most characters; None for what usually reads well.

    Returns:
        Demangled, without return type and parameters, template arguments without namespaces and
        as deep as the width allows (``at::native::reduce_kernel<512, 1, ReduceOp<...>>``); cut in
        the middle where even the bare name is too long. One line of printable characters.
    """
    text = "".join(char if char.isprintable() else "?" for char in raw)
    name = _function(text) if kind == "kernel" else None
    if name is None:
        return text if width is None else _cut(text, width)
    limit = USUAL_WIDTH if width is None else width
    shown = name
    for depth, most in _LEVELS:
        # Where it is tight, arguments tell more than namespaces do.
        for namespaces in (True, False) if width is not None else (True,):
            shown = _path(name, depth, most, namespaces)
            if len(shown) <= limit:
                return shown
    return shown if width is None else _cut(shown, width)


def function_name(raw: str) -> str:
    """The demangled name without return type and parameters; ``raw`` where it is no function."""
    return _function(raw) or raw


def _function(text: str) -> str | None:
    """Name and template arguments of a C++ function; None where the text is none."""
    demangled = demangle(text)
    full = _ANONYMOUS.sub("{anon}", demangled)
    bare = strip_parameters(full)
    if bare != full:
        return strip_return_type(bare)
    if full.startswith("void "):
        return full.removeprefix("void ")
    looks_like_one = demangled != text or split_template(full)[1] is not None
    return full if looks_like_one else None


def _path(text: str, depth: int, most: int, namespaces: bool) -> str:
    """``a::b<...>::{lambda(int)#1}`` with or without what stands before the last name."""
    parts = split(text, "::")
    named = [part for part in parts if not _LAMBDA.match(part) and not _is_call(part)]
    shown = [_component(part, depth, most) for part in (named if namespaces else named[-1:])]
    found = _LAMBDA.match(parts[-1])
    if found:
        number = "" if found[2] == "1" else f"#{found[2]}"
        shown.append(f"lambda{number}{_NAMESPACES.sub('', found[1])}")
    return "::".join(shown) or text


def _is_call(part: str) -> bool:
    return strip_parameters(part).replace(" ", "") == "operator()"


def _component(text: str, depth: int, most: int) -> str:
    bare = strip_parameters(text)
    name, arguments = split_template(bare if bare == text else strip_return_type(bare))
    if arguments is None:
        return name
    return f"{name}<{_arguments(arguments, depth, most) if depth else '...'}>"


def _arguments(text: str, depth: int, most: int) -> str:
    shown: list[str] = []
    for number, part in enumerate(split(text, ",")):
        argument = _argument(part, depth - 1, most) if number < most else "..."
        if _POINTERS.match(argument):  # only counts the operands, which the functor tells
            argument = "..."
        if argument != "..." or shown[-1:] != ["..."]:
            shown.append(argument)
        if number >= most:
            break
    return ", ".join(shown)


def _argument(text: str, depth: int, most: int) -> str:
    literal = _literal(text)
    if literal is not None:
        return literal
    bare = text.removeprefix("const ")
    if bare.startswith("void ") and bare[5:6] not in ("*", "&", "("):
        bare = bare.removeprefix("void ")
    core = bare.rstrip("*& ").removesuffix(" const")
    pointers = bare[len(core) :].replace("const", "").replace(" ", "")
    return _path(core, depth, most, namespaces=False) + pointers


def _literal(text: str) -> str | None:
    """A number, truth value or enumerator: ``128u`` and ``(int)128`` as 128."""
    if found := _INTEGER.match(text):
        return found[1]
    found = _CAST.match(text)
    if not found:
        return None
    kind, value = found[1], found[2]
    if kind == "bool":
        return "true" if value == "1" else "false"
    basic = kind.split()[-1] in ("int", "long", "short", "char", "unsigned")
    return value if basic else f"({kind}){value}"


def _cut(text: str, width: int) -> str:
    """At most ``width`` characters, the middle replaced by dots."""
    if len(text) <= width:
        return text
    if width <= 5:
        return text[: max(width, 1)]
    tail = (width - 3) // 2
    return f"{text[: width - 3 - tail]}...{text[len(text) - tail :]}"
