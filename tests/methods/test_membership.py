"""Methods of membership against their definitions, written out slowly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.subset_models import IMAGES, bank_of
from scipy.stats import norm
from torch.func import functional_call
from torch.nn import functional as F

from zoo_generation.networks.accuracy import margins
from zoobench.methods.attribution.bank import Bank
from zoobench.methods.membership import GradientNorm, LikelihoodRatio, LossThreshold
from zoobench.methods.membership.likelihood import moments
from zoobench.methods.protocols import InapplicableError, MembershipReader
from zoobench.methods.registry import MEMBERSHIP, get_method
from zoobench.populations import Population, TokenSet
from zoobench.populations.logits import logits_of
from zoobench.populations.target import Target


def asked() -> Population:
    """Two of the models on other subsets, as a task shows them."""
    models = bank_of(8, 2, first=100)
    last = np.flatnonzero(models.table["epoch"] == 4)[:2]
    return models.select(models.table.index.isin(last)).blind()


@pytest.mark.parametrize("name", [*MEMBERSHIP, "lira-offline"])
def test_every_method_gives_a_score_for_each_model_and_image(name: str) -> None:
    method = get_method(name)
    fitted = method.fit(TokenSet(1, ()), 3, method.config(None))
    assert isinstance(fitted, MembershipReader)
    scores = fitted.memberships(asked(), bank_of())
    assert scores.shape == (2, IMAGES) and scores.dtype == torch.float32 and scores.isfinite().all()
    assert scores.std() > 0


def test_thresholds_are_those_of_losses_and_gradients() -> None:
    models = asked()
    images, module = models.evidence.labelled("train"), Target.of(models).module()
    surest = LossThreshold().memberships(models, bank_of())
    steepest = GradientNorm().memberships(models, bank_of())
    for number, weights in enumerate(models.weights):
        state = {name: value.requires_grad_() for name, value in models.layout.unflatten(weights).items()}
        answers = functional_call(module, dict(state), (images.images,))
        losses = F.cross_entropy(answers, images.labels, reduction="none")
        torch.testing.assert_close(F.softplus(-surest[number]), losses.detach(), rtol=1e-4, atol=1e-5)
        for image in (0, 7):
            gradients = torch.autograd.grad(losses[image], list(state.values()), retain_graph=True)
            size = torch.cat([each.flatten() for each in gradients]).norm()
            assert float(-steepest[number, image]) == pytest.approx(float(size), rel=1e-3)


@pytest.mark.parametrize("online", [True, False])
def test_likelihoods_are_normal_by_models_with_an_image_and_without(online: bool) -> None:
    models, bank = asked(), Bank.of(bank_of(), asked().evidence.labelled("train"))
    found = LikelihoodRatio(online=online).memberships(models, bank_of())
    shown = margins(logits_of(models, bank.train.images).double(), bank.train.labels).numpy()
    outputs, masks = bank.margins.numpy(), bank.masks.numpy()
    sides = [[outputs[masks[:, image] == side, image] for image in range(IMAGES)] for side in (False, True)]
    shared = [
        sum(((each - each.mean()) ** 2).sum() for each in side if len(each))
        / sum(max(len(each) - 1, 0) for each in side)
        for side in sides
    ]
    for image in (each for each in range(IMAGES) if min(len(side[each]) for side in sides) > 1):
        without, within = (
            (each[image].mean(), (((each[image] - each[image].mean()) ** 2).sum() + prior) / len(each[image]))
            for each, prior in zip(sides, shared, strict=True)
        )
        if online:
            expected = norm.logpdf(shown[:, image], within[0], within[1] ** 0.5)
            expected = expected - norm.logpdf(shown[:, image], without[0], without[1] ** 0.5)
        else:
            expected = (shown[:, image] - without[0]) / without[1] ** 0.5
        np.testing.assert_allclose(found[:, image].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_images_that_no_model_or_all_saw_have_likelihoods_too() -> None:
    counted, outputs = torch.tensor([[0.0, 1, 1], [0, 1, 0], [0, 1, 0]]), torch.randn(3, 3).double()
    mean, variance = moments(counted.double(), outputs)
    assert float(mean[0]) == pytest.approx(float(outputs[:, 0].mean())) and bool((variance > 0).all())
    assert float(variance[0]) == float(variance[2]) == pytest.approx(float(outputs[:, 1].var()))


def test_likelihoods_need_subsets() -> None:
    models = bank_of()
    whole = models.table.assign(subset_fraction=None, subset_seed=None)
    same = Population.of("whole", models.tokenizer, models.weights, whole).shown(models.granted)
    with pytest.raises(InapplicableError, match="all saw the same images"):
        LikelihoodRatio().memberships(asked(), same)
