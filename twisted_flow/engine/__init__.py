"""Where an executor runs: one module for each kind of engine."""
