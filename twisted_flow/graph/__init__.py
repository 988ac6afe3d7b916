"""How executors are joined into a flow."""
