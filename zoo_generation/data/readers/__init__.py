"""Readers of image files, one per layout."""
