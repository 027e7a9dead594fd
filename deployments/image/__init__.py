"""Engines of images: drawing, looking, enlarging, faces, masks."""
