"""Text files of NVIDIA's tools as they come: gzip, UTF-16 of a Windows shell, or plain."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from harness.errors import InputError, TraceFormatError

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


def read_text(path: Path, export: str) -> str:
    """A text file, plain or gzip, in UTF-8 or with the mark of UTF-16.

    Args:
        path: the file.
        export: the command that writes such a file, for the error.

    Raises:
        InputError: it cannot be read.
        TraceFormatError: its gzip is damaged, or it is binary.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})", fix="check the path") from error
    try:
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error) as error:
        raise TraceFormatError(
            f"{path} is a damaged gzip file ({error})", fix="copy or compress it again"
        ) from error
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    text = content.decode(encoding, errors="replace")
    if "\0" in text[:4096]:
        raise TraceFormatError(f"{path} is a binary file and no CSV", fix=f"export it: {export}")
    return text
