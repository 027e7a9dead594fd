"""Engines of pictures: drawing, looking, enlarging, faces, masks."""
