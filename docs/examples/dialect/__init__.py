"""A small dialect: chat, images, transcription and tasks."""
