"""The native dialect, compatible with OpenAI's."""
