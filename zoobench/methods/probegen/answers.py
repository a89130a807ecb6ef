"""What models answer to probes: their outputs for images that are given to all of them."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor
from torch.func import functional_call

from zoo_generation.networks.module import runnable_module
from zoo_generation.networks.program import Program, sizes_of_outputs
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population


class Answers:
    """The models of a population, which answer probes on a device; gradients reach the probes.

    Raises `InapplicableError` if their activation is hidden: models of unknown activation cannot be run.
    """

    def __init__(self, population: Population, device: str, method: str) -> None:
        if population.table["activation"].isna().any():
            raise InapplicableError(
                f"{method} runs the models, and the activation of those of {population.name} is hidden because it is "
                "asked for, or not known; take zoos of models with one activation"
            )
        self.weights, self.layout = population.weights, population.layout
        names = population.table["activation"].astype(str)
        self.kinds = torch.from_numpy(pd.factorize(names)[0].copy())
        first = population.table.drop_duplicates("activation")
        self.networks = [_Answering(row, population, device) for _, row in first.iterrows()]
        self.device = device

    @property
    def elements(self) -> int:
        """Numbers that a model's layers put out for one probe."""
        return max(network.elements for network in self.networks)

    def __call__(self, rows: Tensor, probes: Tensor) -> Tensor:
        """Outputs [batch, probes, classes] of the models of these rows [batch] for probes [probes, channels, height,
        width]."""
        rows = rows.cpu()
        kinds, found, places = self.kinds[rows], [], []
        for kind, network in enumerate(self.networks):
            place = (kinds == kind).nonzero().flatten()
            if not len(place):
                continue
            places.append(place)
            found += [network(self.weights[some].to(self.device), probes) for some in rows[place].split(network.models)]
        order = torch.cat(places).argsort().to(self.device)
        return torch.cat(found)[order]


class _Answering:
    """Models with one activation, which run in a stack where that is possible."""

    def __init__(self, row: pd.Series, population: Population, device: str) -> None:
        module = runnable_module(row)
        size = int(row["image_size"])
        image = torch.zeros(1, int(row["channels"]), size, size, device=device)
        self.classes = int(row["classes"])
        self.program = Program(module, population.layout, image, device)
        self.elements = sum(sizes_of_outputs(module, image))
        self.models = self.program.chunks(image).models

    def __call__(self, weights: Tensor, probes: Tensor) -> Tensor:
        if self.program.stack is not None:
            self.program.load(weights)
            return self.program(probes).transpose(1, 2)[:, :, : self.classes]
        return torch.stack(
            [
                functional_call(self.program.module, self.program.layout.unflatten(each), (probes,), tie_weights=False)
                for each in weights
            ]
        )[:, :, : self.classes]
