"""What a tensor or a numpy array looks like, without its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from harness.record.tensor_values import Values, of_array, of_tensor

if TYPE_CHECKING:
    import numpy as np
    import torch

T = TypeVar("T")

VECTOR_BYTES = 16
"""Widest load of a thread (CUDA C++ Programming Guide): alignment beyond it changes nothing."""

RAGGED = -1
"""Size of a dimension that has no single one (nested tensors)."""

STRIDED, NUMPY = "strided", "numpy"


@dataclass(frozen=True)
class TensorFacts:
    """What a tensor looks like to a kernel.

    Attributes:
        shape: elements per dimension, `RAGGED` where a nested tensor has no single size.
        stride: elements from one to the next per dimension; empty where the layout has none.
        dtype: without ``torch.``.
        device: its type.
        contiguous: whether elements lie one after the other.
        alignment: bytes, a power of two, at most `VECTOR_BYTES`, which is also what arrays (no
            kernel reads them) and tensors without an address have.
        least, most, digest, unread: as in `harness.record.tensor_values.Values`.
        layout: ``strided``, ``sparse_coo``, ``sparse_csr``, ``nested``, ``jagged``, ...; ``numpy``
            for an array. Of all but strided tensors and arrays the values are not read.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    device: str
    contiguous: bool
    alignment: int
    least: float | int | None = None
    most: float | int | None = None
    digest: str = ""
    unread: str = ""
    layout: str = STRIDED

    def __str__(self) -> str:
        layout = "" if self.contiguous else f" stride {list(self.stride)}"
        layout += "" if self.layout == STRIDED else f" {self.layout}"
        values = "" if self.least is None else f" of {self.least:g} to {self.most:g}"
        return f"{self.dtype}{list(self.shape)}{layout} {self.device}{values}"


def tensor_facts(tensor: torch.Tensor) -> TensorFacts:
    """Describe a tensor of any layout; no more of it is copied than `tensor_values` says."""
    dtype, layout = str(tensor.dtype).removeprefix("torch."), _layout(tensor)
    shape = tuple(_size(tensor, at) for at in range(tensor.dim()))
    if layout != STRIDED:
        unread = Values(unread=f"values of a {layout} tensor")
        return _facts(shape, (), dtype, tensor.device.type, True, VECTOR_BYTES, unread, layout)
    kind = type(tensor).__name__
    values = _attempt(lambda: of_tensor(tensor, dtype), Values(unread=f"values of a {kind}"))
    return _facts(
        shape,
        _attempt(lambda: tuple(tensor.stride()), ()),
        dtype,
        tensor.device.type,
        _attempt(tensor.is_contiguous, True),
        _attempt(lambda: _alignment(tensor), VECTOR_BYTES),
        values,
        layout,
    )


def array_facts(array: np.ndarray[Any, Any]) -> TensorFacts:
    """Describe a numpy array; strides in elements, as of tensors."""
    stride = tuple(step // (array.itemsize or 1) for step in array.strides)
    contiguous = bool(array.flags.c_contiguous)
    kind, values = array.dtype.name, of_array(array)
    return _facts(array.shape, stride, kind, "cpu", contiguous, VECTOR_BYTES, values, NUMPY)


def _facts(
    shape: tuple[int, ...], stride: tuple[int, ...], dtype: str, device: str, contiguous: bool,
    alignment: int, values: Values, layout: str,
) -> TensorFacts:  # fmt: skip
    return TensorFacts(
        shape, stride, dtype, device, contiguous, alignment, **vars(values), layout=layout
    )


def _layout(tensor: torch.Tensor) -> str:
    layout = str(tensor.layout).removeprefix("torch.")
    return "nested" if tensor.is_nested and layout == STRIDED else layout


def _size(tensor: torch.Tensor, at: int) -> int:
    """Of one dimension; symbolic sizes of jagged tensors have a new number in each tensor."""
    size = _attempt(lambda: tensor.size(at), RAGGED)
    return size if isinstance(size, int) else RAGGED


def _alignment(tensor: torch.Tensor) -> int:
    offset = int(tensor.storage_offset()) * tensor.element_size()
    address = offset if tensor.is_meta else tensor.data_ptr()
    return VECTOR_BYTES if address % VECTOR_BYTES == 0 else address & -address


def _attempt(read: Callable[[], T], otherwise: T) -> T:
    """What ``read`` returns, or ``otherwise`` where this kind of tensor does not have it.

    Raises:
        torch.AcceleratorError, torch.OutOfMemoryError: the device failed, which is no property of
            the tensor.
    """
    import torch

    try:
        return read()
    except (torch.AcceleratorError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, TypeError):  # NotImplementedError among them
        return otherwise
