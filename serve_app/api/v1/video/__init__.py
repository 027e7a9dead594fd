"""Routes of video."""
