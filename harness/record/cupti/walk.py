"""Where the records of a raw activity buffer begin."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Starts = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.uint8]

WORD = 8
"""Records start at multiples of 8 bytes, and their sizes are multiples of it."""

KINDS = 256

_WINDOW = 4096
"""Words that are walked record by record before a repetition is looked for. Doubled each time that
there is none to speak of, so that records without repetition are walked at the speed of a loop."""

_LONGEST_PERIOD = 128
_TIMES_SEEN = 3
_LEAST_SEEN = 96
"""Records that must have shown the period: kernels in a row are not one, between two memcpys."""


class DamagedError(Exception):
    """The bytes are not a sequence of known records; the text says where."""


def word_counts(sizes: Mapping[int, int]) -> list[int]:
    """Words per record by kind, for `walk`; 0 for a kind that is unknown.

    Args:
        sizes: bytes per record by kind.
    """
    steps = [0] * KINDS
    for kind, size in sizes.items():
        if 0 < kind < KINDS and size > 0 and size % WORD == 0:
            steps[kind] = size // WORD
    return steps


def walk(buffer: Bytes, steps: list[int]) -> tuple[Starts, Kinds]:
    """Word offset and kind of every record.

    Each record's place depends on all before it. Launches repeat, and so do their records (id, API
    call, kernel; id, ...): where the last records show a period, as many repetitions of it as there
    are get checked and taken at once, and only the rest is followed record by record.

    Args:
        buffer: 8-byte aligned, cut to its valid size.
        steps: from `word_counts`.

    Raises:
        DamagedError: no known record begins where one has to.
    """
    if buffer.size % WORD:
        raise DamagedError("its valid size is not a multiple of 8")
    # The kind is a record's first 4 bytes, so every other u4 is a kind if a record starts there.
    words = buffer.view(np.dtype("<u4"))[::2]
    starts: list[Starts] = [np.empty(0, np.int64)]
    at, window = 0, _WINDOW
    while at < len(words):
        found, at = _hop(words, at, min(at + window, len(words)), steps)
        starts.append(found)
        repeated, at = _repetitions(words, found, at)
        starts.append(repeated)
        window = _WINDOW if len(repeated) > len(found) else 2 * window
    every = np.concatenate(starts)
    return every, words[every].astype(np.uint8)


def _hop(words: npt.NDArray[np.uint32], at: int, end: int, steps: list[int]) -> tuple[Starts, int]:
    """Follow the records from ``at`` up to the first that begins at ``end`` or later.

    A loop with nothing in it but one lookup and one addition: tens of ns per record.
    """
    first, most = at, len(words)
    here = words[at:end]
    kinds = np.where(here < KINDS, here, 0).astype(np.uint8).tobytes()
    jumps = [step or most + 1 for step in steps]
    starts: list[int] = []
    add = starts.append
    while at < end:
        add(at)
        at += jumps[kinds[at - first]]
    if at > most:
        last = starts[-1]
        if steps[kinds[last - first]]:
            raise DamagedError(f"the record at byte {last * WORD} runs past the end")
        raise DamagedError(f"no known kind of record at byte {last * WORD}")
    return np.array(starts, np.int64), at


def _repetitions(words: npt.NDArray[np.uint32], last: Starts, at: int) -> tuple[Starts, int]:
    """Records from ``at`` on that repeat the period with which ``last`` ends, and what follows."""
    kinds = words[last].astype(np.uint8)
    text = kinds.tobytes()
    for period in range(1, min(_LONGEST_PERIOD, len(last) // _TIMES_SEEN) + 1):
        seen = text[-max(_LEAST_SEEN, _TIMES_SEEN * period) :]
        if seen[period:] == seen[:-period]:
            length = at - int(last[-period])
            return _repeated(words, last[-period:] + length, kinds[-period:], length)
    return np.empty(0, np.int64), at


def _repeated(
    words: npt.NDArray[np.uint32], block: Starts, kinds: Kinds, length: int
) -> tuple[Starts, int]:
    """As many copies of a block of records as there are from its first place on."""
    at = int(block[0])
    count = (len(words) - at) // length
    blocks = words[at : at + count * length].reshape(count, length)
    good = np.ones(count, np.bool_)
    for start, kind in zip((block - at).tolist(), kinds.tolist(), strict=True):
        good &= blocks[:, start] == kind
    if not good.all():
        count = int(np.argmin(good))
    starts = block + np.arange(count, dtype=np.int64)[:, None] * length
    return starts.reshape(-1), at + count * length
