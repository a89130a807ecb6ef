"""Readers of image files, one a layout."""
