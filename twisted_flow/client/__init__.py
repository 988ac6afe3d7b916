"""The client: one way to call a flow, over each protocol, with or without asyncio."""
