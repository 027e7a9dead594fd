"""How much one request may hold, whatever dialect it is made in. What an operator may choose is
in `serve_app.core.settings.Limits`.
"""

INT64 = 2**63
"""What integers are below, of clients as in the database."""
MEDIA_CHARACTERS = 400_000_000
"""Of a medium in base64."""
PROMPT_CHARACTERS = 32_000
"""Of a prompt for an image or a video."""
MAX_MESSAGES = 10_000
"""Of a conversation."""
MAX_IMAGES = 10
"""That one request may ask for."""
MAX_EMBEDDED = 2048
"""Inputs that are embedded at once."""
MAX_RERANKED = 1024
"""Documents that are ordered at once."""
MAX_STEPS = 20
"""Of the processing of a medium, in one pass."""
