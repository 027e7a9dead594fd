"""Routes of audio."""
