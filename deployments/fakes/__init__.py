"""Deterministic engines of every modality, for tests and trials."""
