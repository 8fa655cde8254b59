"""One key for the spellings of a kernel's name by different demanglers. Never an identity."""

from __future__ import annotations

import re
from functools import lru_cache

from harness.names.display import function_name

_LAMBDA = re.compile(r"[{\[]lambda.*?(?:#| \(instance )(\d+)\)?[}\]]")
_ANONYMOUS = re.compile(r"(?:\(anonymous namespace\)|<unnamed>|\{anon\})::")
_CAST = re.compile(r"\([\w: ]+\)(?=-?\w)")
_NAMESPACES = re.compile(r"(?:\b\w+::)+")
_PARENTHESES = re.compile(r"\([^()]*\)")
_LITERAL = re.compile(r"(?<=\d)(?:ull|ul|ll|u|l)\b")
_WORDS = (
    (re.compile(r"\btrue\b"), "1"),
    (re.compile(r"\bfalse\b"), "0"),
    (re.compile(r"\bconst\b"), ""),
    (re.compile(r"\bvoid\s+(?=[\w{])"), ""),  # return types of functions inside
)


@lru_cache(maxsize=65536)
def spelling_key(name: str) -> str:
    """What stays of a kernel's name whoever demangled it.

    ``c++filt``, Nsight Systems and Nsight Compute write one kernel as ``at::native::f<8, true>``,
    ``at::native::f<(int)8, (bool)1>`` and ``at::f<8, 1>``. Left out are return type, parameters,
    namespaces, casts of literals, ``const`` and spaces; two kernels may share a key.

    Args:
        name: mangled or as any of them prints it.
    """
    text = _LAMBDA.sub(r"{#\1}", _ANONYMOUS.sub("", function_name(name)))
    text = _NAMESPACES.sub("", _CAST.sub("", text))
    before = ""
    while before != text:  # from the inside out
        before, text = text, _PARENTHESES.sub("", text)
    text = _LITERAL.sub("", text)
    for pattern, word in _WORDS:
        text = pattern.sub(word, text)
    return "".join(text.split())
