"""A small dialect: chat, images, transcription, and the tasks that they are."""
