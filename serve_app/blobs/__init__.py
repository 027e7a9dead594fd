"""Stored bytes and how media gets into the store."""
