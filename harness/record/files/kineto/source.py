"""The bytes of a file, unzipped, of which only a stretch is in memory at a time."""

from __future__ import annotations

import gzip
import zlib
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType

from harness.errors import InputError, TraceFormatError

CHUNK = 4 << 20
"""Bytes that are read at once, and so about the memory that reading takes."""

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


class Source:
    """A window on a file that only moves forward.

    Args:
        path: plain or gzip, told by the first bytes.

    Attributes:
        path: of the file.
        data: what is in memory.
        at: place in ``data`` of the next byte to look at.

    Raises:
        InputError: the file cannot be opened.
        TraceFormatError: while reading, its gzip is damaged or cut.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = b""
        self.at = 0
        self._before = 0
        self._ended = False
        self._file = _open(path)

    def __enter__(self) -> Source:
        self.more()
        self.at = len(_BOM) if self.data.startswith(_BOM) else 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def offset(self) -> int:
        """Place of the next byte in the (unzipped) file."""
        return self._before + self.at

    def more(self) -> bool:
        """Read a chunk and forget what lies before ``at``; False at the end of the file."""
        if self._ended:
            return False
        try:
            chunk = self._file.read(CHUNK)
        except (OSError, EOFError, zlib.error) as error:
            raise TraceFormatError(
                f"{self.path} cannot be read past byte {self._before + len(self.data)} ({error})",
                fix="copy the file again, or record it again",
            ) from error
        self._ended = not chunk
        self._before += self.at
        self.data = self.data[self.at :] + chunk
        self.at = 0
        return bool(chunk)

    def fill(self) -> None:
        """Have at least a chunk ahead, where there is so much."""
        while len(self.data) - self.at < CHUNK and self.more():
            pass

    def peek(self) -> bytes:
        """The next byte that is no space; empty at the end of the file."""
        while True:
            while (byte := self.data[self.at : self.at + 1]) and byte in _SPACE:
                self.at += 1
            if byte or not self.more():
                return byte


def _open(path: Path) -> BufferedIOBase:
    try:
        file = path.open("rb")
        zipped = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}", fix="check the path") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})", fix="check the path") from error
    return _Unzipped(file) if zipped else file


class _Unzipped(gzip.GzipFile):
    """A gzip file that closes the file below it."""

    def __init__(self, file: BufferedIOBase) -> None:
        super().__init__(fileobj=file)
        self._below = file

    def close(self) -> None:
        super().close()
        self._below.close()
