"""The client's side of each protocol: one module each, which provides `IChannel`."""
