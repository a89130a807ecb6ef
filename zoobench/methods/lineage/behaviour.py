"""How far apart what models compute is: on images, whatever their weights are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from zoo_generation.networks.capture import capture
from zoo_generation.networks.module import runnable_module
from zoobench.methods.lineage.tracer import Measure
from zoobench.populations import Population
from zoobench.populations.logits import logits_of


@dataclass(frozen=True)
class ImageMeasure(Measure):
    """How far apart what models compute is on some images; images: the first of the training images, so many."""

    images: int = 200

    def images_for(self, models: Population) -> Tensor:
        """[images, channels, size, size], as the models see them."""
        return models.evidence.images("train")[: self.images]


@dataclass(frozen=True)
class Behaviour(ImageMeasure):
    """The total variation of two models' class probabilities, the mean over images: how often they would disagree at
    least. Source: agreement beyond that of unrelated models, Nikolic et al., arXiv 2502.00706."""

    def apart(self, children: Population, candidates: Population) -> Tensor:
        """See `Measure`."""
        child, candidate = (logits_of(each, self.images_for(each)).softmax(2) for each in (children, candidates))
        return torch.stack([(each - candidate).abs().sum(2).mean(1) / 2 for each in child])


@dataclass(frozen=True)
class Cka(ImageMeasure):
    """One minus the linear centred kernel alignment of the inputs of two models' last layers, which units in another
    order do not change. Source: Zhang et al., REEF, arXiv 2410.14273."""

    def apart(self, children: Population, candidates: Population) -> Tensor:
        """See `Measure`."""
        child, candidate = (self._kernels(each) for each in (children, candidates))
        return (1 - child @ candidate.T).clamp(min=0)

    def _kernels(self, models: Population) -> Tensor:
        """Centred kernels of the images [models, images²], of norm 1."""
        shown, found = self.images_for(models), torch.zeros(len(models), 0)
        for _, table in models.table.groupby("activation", dropna=False):  # weights do not show their activation
            module, weights = runnable_module(table.iloc[0]), models.weights[table.index.tolist()]
            last = list(next(capture(weights[:1], models.layout, module, shown[:1])))[-1]
            inputs = torch.cat([each[last] for each in capture(weights, models.layout, module, shown, [last])], dim=2)
            inputs = inputs - inputs.mean(2, keepdim=True)
            kernels = (inputs.transpose(1, 2) @ inputs).flatten(1)
            found = found if found.shape[1] else torch.zeros(len(models), kernels.shape[1])
            found[table.index.tolist()] = normalize(kernels)
        return found
