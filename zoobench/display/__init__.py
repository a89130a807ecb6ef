"""Figures, SVG and page templates, drawn from tables only."""
