"""Names that stand in a study's tables."""

from __future__ import annotations

from typing import Literal

NO_COMPOSITION = "–"
"""Stands as the composition, and as its relation to a target, of methods that learn nothing from one."""

ID = "ID"
"""The relation of a composition to a target whose zoo is in it; all others are out of distribution."""

Relation = Literal["ID", "OOD zoo", "OOD dataset", "OOD architecture", "OOD both"]
"""Of a target to a composition: its zoo is trained on; or another of the same dataset and architecture is; or none of
its dataset, of its architecture, of either."""

MEAN = "mean over "
"""How the name of several targets begins that a comparison is made on at once."""
