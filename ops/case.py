"""A case: one operator at one size, and the rules that sizes follow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from harness.errors import InputError

Phase = Literal["context", "generation"]
PHASES: tuple[Phase, ...] = get_args(Phase)
DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Case:
    """One operator at one size.

    Attributes:
        op: name in the catalogue.
        phase: ``context`` (prefill) or ``generation`` (decode, one new token per request).
        tp: tensor-parallel size; the operator is built with 1/tp of the heads.
        batch_size: requests.
        seq_len: new tokens per request (generation: always 1).
        kv_len: tokens in the KV cache per request after the call, the new ones included.
        dtype: of weights and hidden states.
        framework: adapter name; empty until one is chosen.
    """

    op: str
    phase: Phase = "context"
    tp: int = 1
    batch_size: int = 1
    seq_len: int = 4096
    kv_len: int = 4096
    dtype: str = "bfloat16"
    framework: str = ""

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise InputError(f"unknown phase {self.phase!r}", fix=f"use one of {', '.join(PHASES)}")
        if self.dtype not in DTYPES:
            raise InputError(f"unknown dtype {self.dtype!r}", fix=f"use one of {', '.join(DTYPES)}")
        for name in ("tp", "batch_size", "seq_len", "kv_len"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(
                    f"{name} is {value!r}",
                    fix=f"give --{name.replace('_', '-')} a whole number >= 1",
                )
        if self.seq_len > self.kv_len:
            raise InputError(
                f"seq_len {self.seq_len} is more than kv_len {self.kv_len}, "
                "but kv_len counts the new tokens too",
                fix="raise --kv-len or lower --seq-len",
            )
        if self.phase == "generation" and self.seq_len != 1:
            raise InputError(
                f"generation has one new token per request, not {self.seq_len}",
                fix="leave seq_len at 1 and name the length with --kv-len",
            )

    @property
    def new_tokens(self) -> int:
        """New tokens of the whole batch."""
        return self.batch_size * self.seq_len

    @property
    def past_len(self) -> int:
        """Tokens per request that are in the KV cache before the call."""
        return self.kv_len - self.seq_len

    @property
    def slug(self) -> str:
        """A short name that is fit for a folder."""
        return (
            f"{self.op}-{self.framework or 'auto'}-{self.phase}-tp{self.tp}"
            f"-b{self.batch_size}-s{self.seq_len}-kv{self.kv_len}-{self.dtype}"
        )

    def __str__(self) -> str:
        return (
            f"{self.op} {self.phase}, tp {self.tp}, batch {self.batch_size}, "
            f"{self.seq_len} new token{'s' if self.seq_len != 1 else ''} per request, "
            f"KV length {self.kv_len}, {self.dtype}"
            + (f", {self.framework}" if self.framework else "")
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields by name."""
        return dataclasses.asdict(self)


def resolve_sizes(
    phase: Phase, seq_len: int | None, kv_len: int | None, default: int = 4096
) -> tuple[int, int]:
    """Turn what a user typed for the two lengths into (seq_len, kv_len) of a `Case`.

    Context: ``seq_len`` new tokens per request, ``kv_len`` the total including them (default:
    seq_len). Generation: one new token, ``kv_len`` the total including it, ``seq_len`` an alias.

    Raises:
        InputError: generation with two different values.
    """
    if phase == "generation":
        if seq_len is not None and kv_len is not None and seq_len != kv_len:
            raise InputError(
                f"in generation --seq-len is another name of --kv-len, but they differ "
                f"({seq_len} and {kv_len})",
                fix="give one of them",
            )
        total = kv_len if kv_len is not None else seq_len
        return 1, default if total is None else total
    new = seq_len if seq_len is not None else (kv_len if kv_len is not None else default)
    return new, kv_len if kv_len is not None else new
