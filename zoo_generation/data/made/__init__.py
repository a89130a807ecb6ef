"""Datasets that are made here, so that they need no download."""
