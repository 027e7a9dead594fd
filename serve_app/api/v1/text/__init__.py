"""Routes of text."""
