"""Documents, arrays of documents, and the arrays of numbers in them."""

from .array import DocumentArray
from .document import Document, Graph
from .fields import NamedScore
from .ndarray import SparseArray

__all__ = ["Document", "DocumentArray", "Graph", "NamedScore", "SparseArray"]
