"""gRPC: a grpc.aio server on the reactor's loop, whose handlers take raw bytes to the one path."""
