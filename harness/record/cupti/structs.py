"""The layouts of CUPTI's records; the only file that imports cupti-python."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

import numpy as np

from harness.errors import MissingPackageError


def structs() -> Mapping[str, np.dtype[np.void]]:
    """cupti-python's record layouts by name; needs neither a GPU nor libcupti.

    Raises:
        MissingPackageError: cupti-python is not installed or cannot be imported.
    """
    try:
        from cupti import cupti
    except ImportError as error:
        raise MissingPackageError(
            f"recording kernels needs the package cupti-python, which cannot be imported ({error})",
            fix="pip install 'cupti-python>=13.0.1,<13.5'; beside a torch that pins another "
            "libcupti: pip install --no-deps cupti-python cuda-bindings cuda-pathfinder",
        ) from error
    return {name: getattr(cupti, name) for name in dir(cupti) if name.endswith("_dtype")}


def package_version() -> str:
    """Version of cupti-python; empty when it is not installed."""
    try:
        return importlib.metadata.version("cupti-python")
    except importlib.metadata.PackageNotFoundError:
        return ""
