"""The options of every engine."""
