"""What tasks on lineage have in common: how methods are asked, and how embeddings are read as distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from zoobench.methods.lineage.calibration import calibrated, few
from zoobench.methods.protocols import Embedder, InapplicableError, Tracer
from zoobench.populations import Population
from zoobench.populations.lineage import NONE, Lineage

OF_A_PART = ["data_part"]
"""Methods do not see which part of the images a model was trained on, since that tells children apart."""

DRIFTS = {"near": (0.0, 0.15), "far": (0.15, float("inf"))}
"""Bins of drift, by name: how far a child is from its parent, as a share of the parent's norm."""

Asked = Tracer | Embedder


def tested_lineage(target: Population) -> Lineage:
    """The lineage of a target's test models. Raises `InapplicableError` if none of them was trained from another."""
    lineage = Lineage.of(target.split("test"))
    if not (lineage.parents != NONE).any():
        raise InapplicableError(
            f"none of the {len(lineage)} test models of {target.name} was trained from another one's weights; take a "
            "zoo with a fork after an epoch above 0"
        )
    return lineage


def traced(
    method: Asked, children: Population, candidates: Population, sources: Sequence[Population], seed: int
) -> Tensor:
    """The method's scores [children, candidates].

    Embeddings are read as distances, each feature in units of its deviation over the training models, and calibrated on
    their families; sources: of the training set. Raises `InapplicableError` if it has no models of the children's
    layout.
    """
    if isinstance(method, Tracer):
        return method.trace(children, candidates)
    embed = method.embed
    known = few([each.split("train") for each in sources if each.layout == children.layout], seed)
    if not known:
        raise InapplicableError(f"no training models have the layout of {children.name}; train on a zoo of the same")
    known = [replace(each, models=each.models.known(OF_A_PART)) for each in known]
    deviation = torch.cat([embed(each.models) for each in known]).std(0, correction=0)
    unit = torch.where(deviation > 0, deviation, 1.0)

    def apart(some: Population, others: Population) -> Tensor:
        features = embed(some) / unit
        return torch.cdist(features, features if others is some else embed(others) / unit) / len(unit) ** 0.5

    return calibrated(known, apart).scores(apart(children, candidates))


def by_drift(observations: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The observations of each bin of drift that has any, with its name."""
    for name, (least, most) in DRIFTS.items():
        rows = observations[observations["drift"].between(least, most, inclusive="left")]
        if len(rows):
            yield name, rows
