"""Weights from Python packages."""
