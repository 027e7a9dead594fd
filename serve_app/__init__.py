"""Polyphony: one multi-modal AI server on Ray Serve."""

__version__ = "0.1.0"
