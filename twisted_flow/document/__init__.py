"""What travels: documents, arrays of them, and the numbers inside."""

from .array import DocumentArray
from .document import Document, Graph
from .fields import NamedScore
from .ndarray import SparseArray

__all__ = ["Document", "DocumentArray", "Graph", "NamedScore", "SparseArray"]
