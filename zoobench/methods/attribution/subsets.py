"""Attribution by how margins change with the subsets that models were trained on: no gradients, but many models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.data.images import Images
from zoobench.methods.attribution.bank import Bank
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population

Array = NDArray[np.float64]

RIDGES = np.logspace(-1, 5, 13)
SHARES = np.logspace(0, -2, 9)  # of the least penalty that leaves no image in
HELD_OUT = 5  # one model in so many says which penalty is best


@dataclass(frozen=True)
class OfSubsets(Unlearned):
    """Attribution from masks [models, images] and margins [models, asked]; models: how many are read, None for all."""

    models: int | None = None

    def attribute(self, models: Population, asked: Images) -> Tensor:
        """See `Attributor`. Raises `InapplicableError` for models that all saw the same images."""
        bank = Bank.of(models, asked)
        masks, margins = bank.masks[: self.models].double(), bank.margins[: self.models]
        if bool((masks == masks[0]).all()):
            raise InapplicableError(
                f"the models of {models.name} all saw the same images; take a zoo whose spec has a subset_fraction"
            )
        return self.scores(masks, margins).float()

    def scores(self, masks: Tensor, margins: Tensor) -> Tensor:
        """[asked, images] of masks, float64 [models, images] of 0 and 1, and margins, float64 [models, asked]."""
        raise NotImplementedError


@dataclass(frozen=True)
class EmpiricalInfluence(OfSubsets):
    """The mean margin of models that saw an image, minus that of models that did not; 0 if there are none of either.

    Source: Feldman & Zhang, arXiv 2008.03703, section 2.
    """

    def scores(self, masks: Tensor, margins: Tensor) -> Tensor:
        within, without = (side.T @ margins / side.sum(0)[:, None] for side in (masks, 1 - masks))
        return (within - without).nan_to_num(0.0).T


@dataclass(frozen=True)
class RidgeDatamodel(OfSubsets):
    """Margins as a linear function of masks, by ridge regression: its coefficients.

    The penalty is the one of `RIDGES` with the least error on models left out one at a time, over all asked images.
    Source: Ilyas et al., Datamodels, arXiv 2202.00622, section 2, there with the lasso.
    """

    def scores(self, masks: Tensor, margins: Tensor) -> Tensor:
        inputs, outputs = masks - masks.mean(0), margins - margins.mean(0)
        left, sizes, right = torch.linalg.svd(inputs, full_matrices=False)
        along = left.T @ outputs
        errors = []
        for ridge in RIDGES.tolist():
            kept = sizes**2 / (sizes**2 + ridge)
            fitted, leverage = left @ (kept[:, None] * along), (left**2 @ kept) + 1 / len(masks)
            errors.append(float(((outputs - fitted) / (1 - leverage).clamp(min=1e-9)[:, None]).square().mean()))
        ridge = float(RIDGES[int(np.argmin(errors))])
        return ((sizes / (sizes**2 + ridge))[:, None] * along).T @ right


@dataclass(frozen=True)
class LassoDatamodel(OfSubsets):
    """Margins as a linear function of masks, by the lasso, as published (arXiv 2202.00622, section 2).

    The penalty of each asked image is a share of the least one that leaves no image in; the share is the one of
    `SHARES` with the least error on models held out, over all asked images.
    """

    def scores(self, masks: Tensor, margins: Tensor) -> Tensor:
        inputs, outputs = masks.numpy(), margins.numpy()
        held = np.arange(len(inputs)) % HELD_OUT == 0
        mean = outputs[~held].mean(0)
        paths = _paths(inputs[~held], outputs[~held], SHARES)
        centred = inputs[held] - inputs[~held].mean(0)
        errors = [((centred @ of_share.T + mean - outputs[held]) ** 2).mean() for of_share in paths]
        best = int(np.argmin(errors))
        return torch.from_numpy(_paths(inputs, outputs, SHARES[: best + 1])[-1])


def _paths(inputs: Array, outputs: Array, shares: Array) -> Array:
    """Coefficients of the lasso [shares, outputs, inputs] on centred inputs [models, inputs] and outputs."""
    from sklearn.linear_model import lasso_path

    inputs, outputs = inputs - inputs.mean(0), outputs - outputs.mean(0)
    gram, products = inputs.T @ inputs, inputs.T @ outputs
    found = []
    for number in range(outputs.shape[1]):
        most = np.abs(products[:, number]).max() / len(inputs)
        if most == 0:
            found.append(np.zeros((len(shares), inputs.shape[1])))
            continue
        _, path, _ = lasso_path(
            inputs, outputs[:, number], alphas=shares * most, precompute=gram, Xy=products[:, number], tol=1e-3
        )
        found.append(path.T)
    return np.stack(found, axis=1)
