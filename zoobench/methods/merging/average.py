"""Merge by means of weights: of all models, or of those that help."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.networks.accuracy import accuracies
from zoobench.methods.merging.members import GroupMerger, MatchingMerger, Members, matched
from zoobench.populations import Population


class Average(GroupMerger):
    """The mean of the weights. Units stay in their places."""

    def combine(self, members: Members, seed: int) -> Tensor:
        return members.mean


class MatchedMean(Average):
    """The mean of the weights after units are matched to those of the best model.

    Source: Ainsworth et al., Git Re-Basin, arXiv 2209.04836.
    """

    def align(self, members: Members) -> Members:
        return matched(members)


@dataclass(frozen=True)
class GreedySoup(MatchingMerger):
    """The mean of the models that help: from the best on, each is kept if the mean with it is no less accurate.

    Accuracy is that on validation images, the mean over the members' own.
    Source: Wortsman et al., arXiv 2203.05482, recipe 1.
    """

    def combine(self, members: Members, seed: int) -> Tensor:
        soups = torch.empty_like(members.mean)
        for chosen, data in members.by_images():
            soups[chosen] = _soups(members.weights[chosen], data)
        return soups


def _soups(weights: Tensor, data: list[Population]) -> Tensor:
    """One soup [groups, D] of the models [groups, size, D] of each group, which are added in the order of accuracy."""
    alone = torch.stack([_accuracy(each, data) for each in weights.unbind(1)], dim=1)
    order = alone.argsort(dim=1, descending=True, stable=True)
    total, kept, bar = torch.zeros_like(weights[:, 0]), torch.zeros(len(weights)), torch.zeros(len(weights)).double()
    groups = torch.arange(len(weights))
    for place in order.unbind(1):
        added, count = total + weights[groups, place], kept + 1
        accuracy = _accuracy(added / count[:, None], data)
        helps = accuracy >= bar
        total, kept = torch.where(helps[:, None], added, total), torch.where(helps, count, kept)
        bar = torch.where(helps, accuracy, bar)
    return total / kept[:, None]


def _accuracy(weights: Tensor, data: list[Population]) -> Tensor:
    """Accuracy [models] on validation images, the mean over the images of these models."""
    found = []
    for model in data:
        module, shown = Members(model, 1).module(), model.evidence.labelled("val")
        found.append(accuracies(weights, model.layout, module, shown))
    return torch.stack(found).mean(0)
