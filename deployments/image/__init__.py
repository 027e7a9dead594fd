"""Engines of images: generation, captions, depth, upscaling, faces, segmentation."""
