"""The version of this package; setup.py reads it here."""

__all__ = ["__version__"]

__version__ = "0.1.0"
