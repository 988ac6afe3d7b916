"""Arrays of numbers, as they travel and as numpy sees them.

A document keeps its arrays as they travel (`NdArray`); numpy's view on the same memory is made at the first reading.
So nothing is decoded that nobody looks at, and a change in place is a change of what is sent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from ..limits import Limits

__all__ = [
    "DTYPE",
    "MOST_SIDES",
    "DenseNdArray",
    "NdArray",
    "SparseArray",
    "SparseNdArray",
    "check",
    "fits",
    "from_wire",
    "handed_over",
    "to_wire",
]

if TYPE_CHECKING:
    Buffer = bytearray | bytes | memoryview
else:
    Buffer = bytearray  # what msgspec makes of base64: writable, so that no copy follows

DTYPE = (
    "[<>=|]?(?:[?bBhHiIlLqQpPnNefdgFDG]|b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32))"
    "|bool_?|int_|u?(?:byte|short|intc|int|int8|int16|int32|int64|intp|long|longlong)"
    "|half|single|double|longdouble|float|float16|float32|float64|float128"
    "|csingle|cdouble|clongdouble|complex|complex64|complex128|complex256"
)
"""A regular expression for all that numpy calls a dtype of plain numbers."""
MOST_SIDES = 64
"""Numpy's own bound."""
_MOST_BYTES = 2**62  # of an array, if none of its sides were 0: what numpy can tell
_MOST_EXPANDED = Limits().max_expanded
_NONE, _FP16, _UINT8 = 0, 1, 2  # DenseNdArrayProto.quantization


class DenseNdArray(Struct, rename="camel", forbid_unknown_fields=True, dict=True):
    """An array as its bytes, row by row (DenseNdArrayProto)."""

    seen: ClassVar[Any] = None
    """The ndarray on the same memory, once somebody has looked at it: views of it are what is handed out. It does not
    travel, and no copy has it."""

    buffer: Buffer = b""
    """Made writable when it is first looked at."""
    shape: list[int] = []
    dtype: str = ""
    """As numpy's ``dtype.str`` spells it, such as ``<f4``."""
    quantization: int = _NONE
    max_val: float = 0.0
    min_val: float = 0.0
    scale: float = 0.0
    original_dtype: str = ""


class SparseNdArray(Struct, rename="camel", forbid_unknown_fields=True):
    """An array as the indices and the values of what is not zero (SparseNdArrayProto)."""

    indices: DenseNdArray
    """Of shape (number of values, number of dimensions)."""
    values: DenseNdArray
    shape: list[int]


class NdArray(Struct, forbid_unknown_fields=True):
    """One of the two forms (NdArrayProto)."""

    dense: DenseNdArray | UnsetType = UNSET
    sparse: SparseNdArray | UnsetType = UNSET


class SparseArray(Struct):
    """What a sparse array reads as where there is no scipy, or the array has not two dimensions."""

    indices: Any
    """ndarray of int64, shape (number of values, number of dimensions)."""
    values: Any
    """ndarray, one value for each row of *indices*."""
    shape: tuple[int, ...]

    def toarray(self) -> object:
        """The same as a dense ndarray.

        :raises ValueError: if that has more numbers than 16,777,216.
        """
        if prod(self.shape) > _MOST_EXPANDED:
            raise ValueError(f"a sparse array of shape {list(self.shape)} is too large to be made dense")
        dense = np.zeros(self.shape, self.values.dtype)
        dense[tuple(self.indices.T)] = self.values
        return dense


@lru_cache(maxsize=64)
def _dtype(name: str) -> np.dtype[Any]:
    """The dtype called *name*, if it is one of plain numbers.

    :raises ValueError: if it is not.
    """
    try:
        if not re.fullmatch(DTYPE, name):  # of lists of them numpy makes what nobody has asked for, slowly
            raise ValueError
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError):
        raise ValueError(f"{name[:40]!r} is not a dtype") from None
    if dtype.kind not in "biufc" or dtype.subdtype is not None:
        raise ValueError(f"dtype {name[:40]!r} is not one of plain numbers")
    return dtype


@lru_cache(maxsize=256)
def _size(dtype: str, shape: tuple[int, ...]) -> int:
    """How many bytes an array takes.

    :raises ValueError: if there is no such array.
    """
    size = whole = _dtype(dtype).itemsize
    if len(shape) > MOST_SIDES:
        raise ValueError(f"{len(shape)} sides, where numpy takes {MOST_SIDES}")
    for side in shape:
        if side < 0:
            raise ValueError(f"shape {list(shape)} has a negative side")
        size *= side
        whole *= side or 1
        if whole > _MOST_BYTES:
            raise ValueError(f"shape {list(shape)} is larger than any memory")
    return size


def _check_dense(dense: DenseNdArray) -> None:
    if dense.quantization not in (_NONE, _FP16, _UINT8):
        raise ValueError(f"quantization {dense.quantization} is not 0, 1 or 2")
    if dense.original_dtype:
        _dtype(dense.original_dtype)
    if not dense.shape and not dense.buffer and not dense.dtype:
        return  # a proto3 default: no numbers
    size = _size(dense.dtype, tuple(dense.shape))
    if size != len(dense.buffer):
        raise ValueError(f"shape {dense.shape} of {dense.dtype} needs {size} bytes, the buffer has {len(dense.buffer)}")
    if dense.quantization and size // _dtype(dense.dtype).itemsize > _MOST_EXPANDED:
        raise ValueError(f"a quantized array of more than {_MOST_EXPANDED} numbers")


def fits(array: object) -> bool:
    """Whether *array* is a plain dense one, and as it should be. What is not is for `check` to look at."""
    if type(array) is not NdArray or (dense := array.dense) is UNSET or array.sparse is not UNSET:
        return False
    if dense.quantization or dense.original_dtype:
        return False
    try:
        return _size(dense.dtype, tuple(dense.shape)) == len(dense.buffer)
    except ValueError:
        return False


def check(array: NdArray) -> None:
    """Hold *array* against itself, so that reading it later cannot fail.

    :raises ValueError: if shape, dtype and bytes disagree, or if it is no array at all.
    """
    dense, sparse = array.dense, array.sparse
    if (dense is UNSET) == (sparse is UNSET):
        raise ValueError("exactly one of dense and sparse is needed")
    if dense is not UNSET:
        _check_dense(dense)
    if sparse is not UNSET:
        _check_dense(sparse.indices)
        _check_dense(sparse.values)
        indices = _dense_to_numpy(sparse.indices)
        if min(sparse.shape, default=0) < 0 or prod(side or 1 for side in sparse.shape) > _MOST_BYTES:
            raise ValueError(f"shape {sparse.shape} has a negative side, or is larger than any memory")
        if not sparse.shape:
            raise ValueError("a sparse array has one side at least")
        if len(sparse.shape) > MOST_SIDES:
            raise ValueError(f"{len(sparse.shape)} sides, where numpy takes {MOST_SIDES}")
        if indices.size and (indices.ndim != 2 or indices.dtype.kind not in "iu"):
            raise ValueError("indices are not whole numbers in two dimensions")
        if indices.size and (
            indices.shape != (len(sparse.values.shape) and sparse.values.shape[0], len(sparse.shape))
            or indices.min() < 0
            or (indices.max(axis=0) >= sparse.shape).any()
        ):
            raise ValueError(f"indices of shape {list(indices.shape)} do not fit the values, or leave {sparse.shape}")


def _dense_to_numpy(dense: DenseNdArray) -> Any:
    if not dense.dtype:
        return np.zeros(0)
    buffer = dense.buffer
    if type(buffer) is bytes or (type(buffer) is memoryview and buffer.readonly):
        buffer = dense.buffer = bytearray(buffer)  # bytes are not writable: the one copy
    array: Any = np.ndarray(dense.shape, _dtype(dense.dtype), buffer)
    if dense.quantization:
        array = array.astype(dense.original_dtype or "<f4")
        return array * dense.scale + dense.min_val if dense.quantization == _UINT8 else array
    dense.__dict__["seen"] = array
    return array.view()


def from_wire(array: NdArray) -> object:
    """*array* as an ndarray, writable, on the same memory; a sparse one as scipy's ``coo_matrix`` or `SparseArray`."""
    dense = array.dense
    if dense is not UNSET:
        return _dense_to_numpy(dense) if dense.seen is None else dense.seen.view()
    sparse = array.sparse
    if sparse is UNSET:
        return None
    indices, values = _dense_to_numpy(sparse.indices), _dense_to_numpy(sparse.values)
    indices = indices.reshape(-1, len(sparse.shape)).astype(np.int64, copy=False)
    if len(sparse.shape) == 2:
        try:
            from scipy.sparse import coo_matrix  # only where a sparse array is read, and scipy is there
        except ImportError:
            pass
        else:
            return coo_matrix((values, indices.T), shape=sparse.shape)
    return SparseArray(indices, values, tuple(sparse.shape))


def _dense_to_wire(value: object, ours: bool = False) -> DenseNdArray:
    """*value* as an array that nobody else can write to.

    :param ours: whether nobody will, so that it need not be copied.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"not an array of plain numbers: dtype {array.dtype}")
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    elif not ours and type(value) is not list and not _is_fixed(array):
        array = array.copy()
    dense = DenseNdArray(array.reshape(-1).view(np.uint8).data, list(array.shape), array.dtype.str)
    if array.flags.writeable:
        dense.__dict__["seen"] = array.view()
    return dense


def _is_fixed(array: object) -> bool:
    """Whether nobody can write to *array*, which is read-only down to its bytes."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return type(array.obj if type(array) is memoryview else array) is bytes


def to_wire(value: object) -> NdArray:
    """*value* in the form that travels; an ndarray is copied, if anybody could write to it.

    :param value: an ndarray, anything that numpy makes one of (numbers, nested lists of them, tensors), a scipy
        sparse matrix, a `SparseArray`, or an `NdArray`, which is taken as it is.
    :raises ValueError: if that is not an array of plain numbers.
    """
    if isinstance(value, NdArray):
        if not fits(value):
            check(value)
        return value
    if hasattr(value, "tocoo"):
        coo = value.tocoo()
        value = SparseArray(np.stack([coo.row, coo.col], axis=1).astype(np.int64), coo.data, coo.shape)
    if isinstance(value, SparseArray):
        parts = _dense_to_wire(value.indices), _dense_to_wire(value.values)
        return NdArray(sparse=SparseNdArray(*parts, list(value.shape)))
    return NdArray(dense=_dense_to_wire(value))


def handed_over(array: object) -> NdArray:
    """The same for what nobody will write to any more: an ndarray in C order is not copied."""
    return NdArray(dense=_dense_to_wire(array, True)) if isinstance(array, np.ndarray) else to_wire(array)
