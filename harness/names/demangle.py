"""C++ symbol names made readable. The only file that imports cxxfilt."""

from __future__ import annotations

from functools import lru_cache

from harness.errors import MissingPackageError


@lru_cache(maxsize=65536)
def demangle(name: str) -> str:
    """The demangled form of an Itanium-ABI symbol (``_Z...``), from ``__cxa_demangle``.

    Returns:
        ``name`` itself where it is not mangled or is no valid symbol.

    Raises:
        MissingPackageError: cxxfilt, or the C++ runtime library that it calls, cannot be loaded.
    """
    if not name.startswith("_Z") or "\0" in name:  # ctypes would end the name at the NUL
        return name
    try:
        import cxxfilt
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"kernel names cannot be demangled ({error})", fix="run: pip install 'cxxfilt>=0.3'"
        ) from error
    try:
        return str(cxxfilt.demangle(name))
    except cxxfilt.LibraryNotFound as error:
        raise MissingPackageError(
            f"cxxfilt finds no C++ runtime library ({error})",
            fix="install libstdc++ (Debian, Ubuntu: apt install libstdc++6)",
        ) from error
    except (cxxfilt.Error, UnicodeError):
        return name
