"""The dtypes that a kernel's name tells, and the name without them."""

from __future__ import annotations

import re
from functools import lru_cache

from harness.names.display import function_name
from harness.names.families import family, template

NARROW = ("fp8", "fp4", "int8")
"""Dtypes into which only quantisation brings weights and activations."""

_WORDS = {
    "bf16": r"(?:c10::)?BFloat16|(?:cutlass::)?bfloat16_t|_{0,2}nv_bfloat162?|[Bb]float16|bf16",
    "fp8": r"(?:c10::)?Float8_e[45]m[23]\w*?\b|__nv_fp8_e[45]m[23]|(?:cutlass::)?float_e[45]m[23]_t"
    r"|float8(?:_e[45]m[23](?:fn)?)?|[Ff][Pp]8|(?:Mx)?[Ee][45][Mm][23]",
    "fp4": r"(?:Mx)?[Ee]2[Mm]1|[Nn]v[Ff][Pp]4|[Ff][Pp]4",
    "fp16": r"(?:c10::)?\bHalf\b|(?:cutlass::)?half_t|_{0,2}\bhalf2?\b|float16|[Ff][Pp]16"
    r"|(?<![A-Za-z0-9])f16",
    "fp64": r"\bdouble\b|float64|fp64|(?<![A-Za-z])f64",
    "fp32": r"\bfloat\b|float32|[Ff][Pp]32|(?<![A-Za-z])t?f32",
    "int8": r"\b(?:un)?signed char\b|(?<![A-Za-z])[su]?i(?:nt)?8(?![0-9])",
}  # fmt: skip
_DTYPE = re.compile("|".join(f"(?P<{word}>{text})" for word, text in _WORDS.items()))
_CACHE_DTYPE = re.compile(r"\(\w*(?:::\w+)*Fp8KVCacheDataType\)\d")
_LAMBDA_NUMBER = re.compile(r"#\d+(?=[}\]])|\(instance \d+\)")
_NUMBER = re.compile(r"(?<=[<, )])\d+(?:ul|u)?(?=[,>])")
_NVJET = re.compile(r"nvjet_(?:sm\d+_)?([a-z]+)_")
_ARCHITECTURE = re.compile(r"^sm\d+_")
_LETTERS = {"t": "bf16", "h": "fp16", "s": "fp32", "q": "fp8", "o": "fp4", "d": "fp64"}
"""cuBLAS writes the dtypes of nvjet kernels as letters, inputs first: ``tst`` takes bf16, adds up
in fp32 and returns bf16; ``qqtst`` takes fp8."""

_GEMMS = (
    ("fp32", re.compile(r"tf32|simt_sgemm|(?<![a-z0-9])sgemm|_s1688gemm|_s\d+tf32gemm")),
    ("fp16", re.compile(r"(?<![a-z0-9])hgemm|_h\d+gemm|_f16_s\d+gemm")),
    ("fp64", re.compile(r"(?<![a-z0-9])dgemm|_d\d+gemm")),
)
"""Names of CUTLASS and cuBLAS in which a letter says the dtype."""


@lru_cache(maxsize=65536)
def dtypes(name: str) -> tuple[str, ...]:
    """Every dtype in a kernel's name in order, as ``bf16``, ``fp16``, ``fp8``, ``fp4``, ``fp32``,
    ``fp64`` or ``int8``; mangled and demangled spellings give the same."""
    letters = _NVJET.match(name)
    if letters:
        return tuple(_LETTERS.get(letter, letter) for letter in letters[1])
    return tuple(found.lastgroup or "" for found in _DTYPE.finditer(function_name(name)))


@lru_cache(maxsize=65536)
def without_dtypes(name: str) -> str:
    """What two kernels share that do the same for other dtypes.

    Left out are dtypes, tile sizes and numbers in template arguments, since vector widths and tiles
    follow the dtype, and numbers of lambdas, of which torch has one per dtype. Two kernels of one
    dtype may share it, too.
    """
    if _NVJET.match(name):
        return "nvjet"
    text = function_name(name)
    if template(name) == text:  # no C++: a library's name
        text = _ARCHITECTURE.sub("", family(name))
    for pattern, word in ((_LAMBDA_NUMBER, ""), (_DTYPE, "T"), (_CACHE_DTYPE, "T"), (_NUMBER, "N")):
        text = pattern.sub(word, text)
    return text


@lru_cache(maxsize=65536)
def gemm_dtype(name: str) -> str | None:
    """The dtype that a matrix product takes, where its name tells; None otherwise."""
    if not _NVJET.match(name):
        text = function_name(name)
        for dtype, pattern in _GEMMS:
            if pattern.search(text):
                return dtype
    return next(iter(dtypes(name)), None)
