"""The API for AI providers of Coder's command line and SDK."""
