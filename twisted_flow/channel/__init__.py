"""The other side of a wire: one module for each protocol, which provides `IChannel`."""
