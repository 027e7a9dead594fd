"""Routes of stored files and profiles."""
