"""WebSocket: Autobahn, with a lane in front of its frame parser for plain frames."""
