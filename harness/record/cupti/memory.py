"""Strings that records point to."""

from __future__ import annotations

import os

_PAGE = 4096


class Strings:
    """Reads C strings of this process; a wrong address is counted and does not crash.

    CUPTI keeps kernel names when their module is unloaded (seen with CUPTI 13.0 on an H200).

    Attributes:
        unreadable: addresses that hold no readable string.
    """

    def __init__(self) -> None:
        self.unreadable = 0
        self._known: dict[int, str] = {}

    def at(self, address: int) -> str:
        """The string at an address."""
        if address not in self._known:
            self._known[address] = self._read(address)
        return self._known[address]

    def _read(self, address: int) -> str:
        # Through the file, because a stray pointer is then an error and not a signal.
        found = bytearray()
        try:
            with open("/proc/self/mem", "rb", buffering=0) as memory:  # noqa: PTH123
                while b"\0" not in found:
                    length = _PAGE - (address + len(found)) % _PAGE
                    piece = os.pread(memory.fileno(), length, address + len(found))
                    if not piece:
                        raise OSError("end of memory")
                    found += piece
        except (OSError, OverflowError):
            self.unreadable += 1
            return f"<unreadable name at {address:#x}>"
        return found[: found.index(0)].decode(errors="replace")
