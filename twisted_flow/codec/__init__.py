"""Bytes to messages and back: one module for each encoding, which provides `ICodec`."""
