"""The catalog over Serve handles."""
