"""Merge layer by layer such that each layer's outputs stay what they were, by least squares on its inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.capture import Moments, capture
from zoobench.methods.merging.layers import WeightLayer, layers_of, regression, solved
from zoobench.methods.merging.members import MatchingMerger, Members
from zoobench.populations import Population

MODELS_AT_ONCE = 16  # whose layer inputs are in memory at once
BATCH = 32  # images


@dataclass(frozen=True)
class RegMean(MatchingMerger):
    """Each layer solves min Σᵢ E‖x W - x Wᵢ‖² over the inputs x of model i on its own images; all else is the mean.

    alpha: factor of the off-diagonal elements of each Gram matrix E[x xᵀ]; 0 weighs each input by its mean square.
    bias: whether biases are solved for along with weights, or averaged as published; images: of each model.
    Source: Jin et al., arXiv 2212.09849, section 3.
    """

    alpha: float = 0.9
    bias: bool = True
    images: int = 1000

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha was given as {self.alpha}; give a number from 0 (diagonal) to 1 (Gram matrices)")

    def combine(self, members: Members, seed: int) -> Tensor:
        return torch.cat([self._merged(part) for part in members.at_once()])

    def _merged(self, members: Members) -> Tensor:
        moments = members.models.evidence.moments(self.images)
        return self._solved(members, moments, members.mean)

    def _solved(self, members: Members, moments: Moments, start: Tensor) -> Tensor:
        """The models [groups, D] that are `start` but for the layers whose moments are given."""
        merged = start.clone()
        for layer in layers_of(members.layout, moments.inputs, bias=self.bias):
            grams = off_diagonal_times(self.alpha, layer.gram(moments)).unflatten(0, (-1, members.size))
            layer.put(merged, regression(grams, layer.matrix(members.weights), layer.matrix(start)))
        return merged


@dataclass(frozen=True)
class RegMeanPlus(RegMean):
    """RegMean whose inputs of a layer are those in the merged model, which is merged layer by layer from the first on.

    Source: Nguyen et al., RegMean++, arXiv 2508.03121.
    """

    alpha: float = 0.95

    def _merged(self, members: Members) -> Tensor:
        merged = members.mean
        names = members.models.evidence.moments(1).counts  # in the order in which layers run
        for name in names:
            moments = members.of_all(merged).evidence.moments(self.images, [name])
            merged = self._solved(members, moments, merged)
        return merged


@dataclass(frozen=True)
class Pleas(MatchingMerger):
    """Units are matched; then each layer makes of the mean of the members' inputs the mean of their outputs.

    The members see the same images, those of all of them. With inputs xᵢ, their mean x̄, and the mean of outputs xᵢ Wᵢ,
    the least-squares solution is that of RegMean, with E[x̄ xᵢᵀ] in place of E[xᵢ xᵢᵀ]. images: of a group.
    Source: Nasery et al., PLeaS, arXiv 2407.02447, at equal size, in closed form.
    """

    matched: bool = True
    images: int = 1000

    def combine(self, members: Members, seed: int) -> Tensor:
        merged = torch.empty_like(members.mean)
        for chosen, data in members.by_images():
            shown = images_of_all(data, self.images)
            for part in chosen.split(max(1, MODELS_AT_ONCE // members.size)):
                merged[part] = _least_squares(members.groups(part), shown)
        return merged


def images_of_all(data: list[Population], count: int) -> Tensor:
    """The first training images of each of the models, equally many of each: about `count` in all."""
    each = max(1, count // len(data))
    return torch.cat([model.evidence.images("train")[:each] for model in data])


def _least_squares(members: Members, images: Tensor) -> Tensor:
    """The groups' models [groups, D]: E[x̄ x̄ᵀ] (W - W̄) = E[x̄ r], where r is the mean of xᵢ (Wᵢ - W̄), for each layer."""
    totals: dict[str, Tensor] = {}
    rights: dict[str, Tensor] = {}
    layers: list[WeightLayer] = []
    for seen in capture(members.models.weights, members.layout, members.module(), images, batch=BATCH):
        layers = layers_of(members.layout, {name: inputs.shape[1] for name, inputs in seen.items()})
        for layer in layers:
            inputs = layer.inputs(seen[layer.name]).unflatten(0, (-1, members.size))
            apart = layer.matrix(members.weights - members.mean[:, None]).float()
            mean, rest = inputs.mean(1).double(), (apart.mT @ inputs).mean(1).double()
            totals[layer.name] = mean @ mean.mT + totals.get(layer.name, 0)
            rights[layer.name] = mean @ rest.mT + rights.get(layer.name, 0)
    merged = members.mean.clone()
    for layer in layers:
        layer.put(merged, solved(totals[layer.name], rights[layer.name], layer.matrix(members.mean)))
    return merged


def off_diagonal_times(factor: float, gram: Tensor) -> Tensor:
    """Square matrices [..., n, n] with all but their diagonal multiplied."""
    scaled = gram * factor
    scaled.diagonal(dim1=-2, dim2=-1).copy_(gram.diagonal(dim1=-2, dim2=-1))
    return scaled
