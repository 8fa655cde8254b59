"""Names that are related: other instances of one template, other tiles of one library's kernel.

Nothing here is part of a kernel's identity.
"""

from __future__ import annotations

import re
from functools import lru_cache

from harness.names.cxx import split, split_template, strip_parameters
from harness.names.display import function_name

_TILE = re.compile(r"_(?:tilesize|t)?\d+x\d+.*$")
_SUFFIX = re.compile(r"_(?:(?=\w*[dc])0(?:de|d|c)?(?:\d+(?:de|d|c)?)*|(?=[a-f]*\d)[0-9a-f]{8,64})$")
"""What Triton appends to a function's name: which arguments are special, or a hash."""

_COUNTER = re.compile(r"(?<=[a-z])_\d+$")
"""What TorchInductor appends."""

_WRAPPER = re.compile(
    r"\w*elementwise_kernel\w*|reduce_kernel|multi_tensor_apply_kernel|gpu_kernel_impl\w*"
    r"|gpu_index_kernel|ReduceOp|func_wrapper_t|(?:[AB]U|Bi)naryFunctor|device_kernel|enable_\w+"
)
"""Templates that run what their first argument says: of torch, and ``cutlass::device_kernel`` with
what stands around its kernel (``enable_sm90_or_later``)."""

_CUTLASS = re.compile(r"Kernel2?")
_CODE = re.compile(r"[{\[]lambda|operator ?\(")
_LAMBDA_LAST = re.compile(r"[{\[]lambda\b.*[}\]]$", re.DOTALL)
_BUILD = re.compile(r"(?:CUB|THRUST)_\d\w*")
_OWN = re.compile(r"(?:\w+::)+\w+")
_LIBRARY = re.compile(r"(?:cub|thrust|std|cuda|at_cuda_detail|c10|cutlass)::")
_PLAIN = re.compile(
    r"-?\d\w*|true|false|\(.*\)-?\w+"
    r"|(?:const )?(?:(?:un)?signed )?(?:int|long|short|char|float|double|bool|void)[ *&const]*"
    r"|(?:\w+::)*(?:BFloat16|Half|Float8_\w+|complex|bfloat16_t|half_t|float_\w+_t|OpaqueType"
    r"|Array|array|\w*Metadata|TrivialOffsetCalculator|OffsetCalculator)(?:<.*>)?"
    r"|__nv_\w+|__half2?|half2?",
    re.DOTALL,
)
"""Template arguments that say nothing of what is done: numbers, dtypes, arrays of pointers."""

_DEEPEST = 8
"""Templates around what runs; torch has up to five."""


@lru_cache(maxsize=65536)
def family(name: str) -> str:
    """The template without its arguments, or the library's name without tile sizes.

    Two kernels of one family are related and different: cuBLAS's ``nvjet_sm90_tst_64x8_...`` and
    ``nvjet_sm90_tst_128x8_...`` are both ``nvjet_sm90_tst``. Templates that run whatever they are
    given are called by what that is: ``at::native::elementwise_kernel<128, 4, neg...>`` is
    ``at::native::neg_kernel_cuda``, ``cutlass::device_kernel<...FlashAttnFwdSm90<...>>`` is
    ``flash::FlashAttnFwdSm90``; algorithms of CUB follow the functor they are given.
    """
    path, arguments = _path(function_name(name))
    own = "::".join(path)
    if "cub" in path[:-1]:
        given = next((o for o in _OWN.findall(arguments or "") if not _LIBRARY.match(o)), "")
        return f"{given}::{path[-1]}" if given else own
    for _ in range(_DEEPEST):
        inner = _inside(path, arguments)
        if inner is None:
            break
        path, arguments = _path(inner)
    return "::".join([*path[:-1], _stem(path)]) or name


@lru_cache(maxsize=65536)
def template(name: str) -> str:
    """The kernel's own template without arguments, whatever it runs:
    ``vectorized_elementwise_kernel``."""
    return _path(function_name(name))[0][-1]


def _stem(path: list[str]) -> str:
    """The last component without tile sizes and, of Triton's kernels, without suffix."""
    last = path[-1]
    bare = _SUFFIX.sub("", last) if len(path) == 1 else last
    bare = _COUNTER.sub("", bare) if last.startswith("triton_") else bare
    return _TILE.sub("", bare) or last


def _path(text: str) -> tuple[list[str], str | None]:
    """Components of a name without arguments and lambdas, and the last one's arguments."""
    parts = [part for part in split(text.removeprefix("void "), "::") if not _CODE.match(part)]
    bare = [split_template(strip_parameters(part)) for part in parts] or [(text, None)]
    names = [name for name, _ in bare[:-1] if not _BUILD.fullmatch(name)]
    return [*names, bare[-1][0]], bare[-1][1]


def _inside(path: list[str], arguments: str | None) -> str | None:
    """What a wrapper runs: its first template argument that is neither number nor dtype."""
    if arguments is None:
        return None
    functor = next((one for one in split(arguments, ",") if not _PLAIN.fullmatch(one)), None)
    if functor is None:
        return None
    wraps = _WRAPPER.fullmatch(path[-1]) or (_CUTLASS.fullmatch(path[-1]) and "cutlass" in path)
    return functor if wraps or _LAMBDA_LAST.search(functor) else None
