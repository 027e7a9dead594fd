"""Engines, one file each in the folder of its modality: plain classes that satisfy a Protocol of
`serve_app.core`. What files they need beside theirs lies next to them.
"""
