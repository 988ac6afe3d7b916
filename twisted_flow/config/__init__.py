"""YAML files, with environment variables in them and the position of every mistake."""
