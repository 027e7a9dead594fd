"""Engines of audio: speech, transcription, voices, stems."""
