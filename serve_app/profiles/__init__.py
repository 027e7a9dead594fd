"""Saved characters, environments and voices: media under a name that requests can refer to."""
