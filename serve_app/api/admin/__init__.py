"""The administration: tokens, users, files and profiles of everybody."""
