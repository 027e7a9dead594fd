"""Engines of sound: speech, transcription, voices, stems."""
