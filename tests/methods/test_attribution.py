"""Methods of attribution against their formulas, written out slowly: dense solves, loops, and finite differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.subset_models import IMAGES, asked, bank_of, dataset, specs_of
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from torch.func import functional_call

from zoo_generation.data.images import Images, normalised
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.networks.projection import Projection
from zoo_generation.training.models import build_model
from zoo_generation.training.train import train_model
from zoobench.methods.attribution import ExactInfluence, Trak
from zoobench.methods.attribution.bank import Bank, Member
from zoobench.methods.attribution.influence import unrolled_products
from zoobench.methods.attribution.kernel import SEEDS_APART, kernel_scores
from zoobench.methods.attribution.metagradient import metagradients, trained
from zoobench.methods.attribution.subsets import RIDGES, EmpiricalInfluence, LassoDatamodel, RidgeDatamodel
from zoobench.methods.protocols import Attributor, InapplicableError
from zoobench.methods.registry import ATTRIBUTION, get_method
from zoobench.populations import Access, Evidence, Population, TokenSet


def answers(member: Member, parameters: Tensor, images: Images) -> Tensor:
    """Logits [images, classes] as a function of all parameters, in double precision."""
    module = member.module().double()
    given = member.path.layout.unflatten(parameters)
    return functional_call(module, dict(given), (images.images.double(),))


def margins_by_odds(logits: Tensor, labels: Tensor) -> Tensor:
    own = logits.softmax(1)[torch.arange(len(labels)), labels]
    return (own / (1 - own)).log()


def slow(member: Member, images: Images, what: str) -> tuple[Tensor, Tensor]:
    """Outputs [images] and their derivatives [images, P] by plain autograd."""

    def outputs(parameters: Tensor) -> Tensor:
        logits = answers(member, parameters, images)
        if what == "margin":
            return margins_by_odds(logits, images.labels)
        return -logits.log_softmax(1)[torch.arange(len(images.labels)), images.labels]

    weights = member.path.weights[-1].double()
    return outputs(weights), torch.autograd.functional.jacobian(outputs, weights)


def test_trak_is_the_formula_of_the_paper() -> None:
    bank = Bank.of(bank_of(), asked())
    method = Trak(members=3, size=20, ridge=0.01, threshold=1e-4, seed=5)
    products, doubts = [], []
    for number, member in enumerate(bank.members(3)):
        matrix = Projection(20, 5 + SEEDS_APART * number)(torch.eye(member.path.layout.size, dtype=torch.float64))
        outputs, by_train = slow(member, bank.train, "margin")
        rows, asking = by_train @ matrix, slow(member, bank.asked, "margin")[1] @ matrix
        gram = rows.T @ rows
        gram = gram + 0.01 * gram.trace() / 20 * torch.eye(20)
        products.append(asking @ torch.linalg.inv(gram) @ rows.T)
        doubts.append(1 - outputs.sigmoid())
    mean = torch.stack(products).mean(0) @ torch.stack(doubts).mean(0).diag()
    expected = torch.where(mean.abs() > 1e-4, mean - 1e-4 * mean.sign(), 0.0)
    torch.testing.assert_close(method.attribute(bank_of(), asked()).double(), expected, rtol=1e-3, atol=1e-6)
    assert (expected == 0).any() and (expected != 0).any()


def test_trak_is_the_package_of_its_authors() -> None:
    """What traker 0.3.2 says of one network with our projection: `benchmarks/speed/attribution.py --record`."""
    recorded = load_file(Path(__file__).parent / "recorded" / "traker.safetensors")
    row = {"dataset": "digits", "train_images": 60, "architecture": "mlp", "width": 0.03125, "image_size": 28}
    row |= {"activation": "tanh", "channels": 1, "classes": 10, "split": "train", "data_part": None, "epoch": 1}
    table = pd.DataFrame([row | {"model_id": "0" * 16}])
    models = Population.of("recorded", bank_of().tokenizer, recorded["weights"], table)
    found = Trak(members=1, size=8).attribute(models.shown(Evidence(Access.LABELS, ImageStore())), asked(5))
    both = torch.stack([found.flatten(), recorded["scores"].flatten()]).double()
    assert found.shape == recorded["scores"].shape == (5, IMAGES) and torch.corrcoef(both)[0, 1] > 0.999


def test_trak_needs_fewer_numbers_than_images_or_a_ridge() -> None:
    with pytest.raises(InapplicableError, match=r"with 60 images alone; take a smaller size, or a ridge of 0\.001"):
        Trak(size=61).attribute(bank_of(), asked())
    assert Trak(members=1, size=61, ridge=0.1).attribute(bank_of(), asked()).isfinite().all()
    with pytest.raises(InputError, match="cannot invert the gradients of 4 images"):
        kernel_scores(torch.zeros(4, 2), torch.zeros(1, 2))


def test_exact_influence_is_a_dense_solve() -> None:
    bank = Bank.of(bank_of(), asked())
    (member,) = bank.members(1)
    size = member.path.layout.size
    seen = Images(bank.train.images[member.seen], bank.train.labels[member.seen])
    assert len(seen.labels) == IMAGES / 2
    weights = member.path.weights[-1].double()
    jacobian = torch.autograd.functional.jacobian(lambda flat: answers(member, flat, seen), weights)
    shares = answers(member, weights, seen).softmax(1)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for rows, p in zip(jacobian, shares, strict=True):
        matrix += rows.T @ (p.diag() - torch.outer(p, p)) @ rows / len(seen.labels)
    damped = matrix + 0.1 * matrix.trace() / size * torch.eye(size)
    by_train, by_asked = slow(member, bank.train, "loss")[1], slow(member, bank.asked, "margin")[1]
    expected = -by_asked @ torch.linalg.solve(damped, by_train.T) / len(seen.labels)
    found = ExactInfluence(members=1, damping=0.1).attribute(bank_of(), asked()).double()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6 * float(expected.abs().max()))


def test_source_is_gradient_descent_on_quadratics_in_the_limit_of_small_steps() -> None:
    """Each segment pulls the parameters with its own gradients and curvature; they are moved along by what follows."""
    random = torch.Generator().manual_seed(0)
    roots = [torch.randn(4, 2, generator=random, dtype=torch.float64) for _ in range(3)]  # flat directions too
    matrices = [root @ root.T for root in roots]
    gradients = [torch.randn(5, 4, generator=random, dtype=torch.float64) for _ in range(3)]
    asking, rate, steps = torch.randn(2, 4, generator=random, dtype=torch.float64), 1e-4, (3000, 5000, 2000)
    moved = torch.zeros(5, 4, dtype=torch.float64)
    for matrix, pull, count in zip(matrices, gradients, steps, strict=True):
        for _ in range(count):
            moved = moved - rate * (moved @ matrix + pull)
    found = unrolled_products(asking, matrices, gradients, [rate * count for count in steps])
    torch.testing.assert_close(found, asking @ moved.T, rtol=2e-3, atol=2e-3)


def linear(models: int, images: int = 8, targets: int = 2, noise: float = 0.1) -> tuple[Tensor, Tensor, Tensor]:
    """Masks, margins that are linear in them but for noise, and the coefficients, most of which are 0."""
    random = torch.Generator().manual_seed(models)
    masks = (torch.rand(models, images, generator=random) < 0.5).double()
    truth = torch.randn(targets, images, generator=random).double() * (torch.arange(images) < 3)
    return masks, masks @ truth.T + noise * torch.randn(models, targets, generator=random) + 1, truth


def test_empirical_influence_is_in_minus_out() -> None:
    masks, margins, _ = linear(12)
    masks[:, 4] = 1  # no model did not see it
    found = EmpiricalInfluence().scores(masks, margins)
    for image in (each for each in range(8) if each != 4):
        for target in range(2):
            within, without = (margins[masks[:, image] == side, target].mean() for side in (1, 0))
            assert float(found[target, image]) == pytest.approx(float(within - without))
    assert (found[:, 4] == 0).all()


def test_the_ridge_is_the_one_that_models_left_out_choose() -> None:
    masks, margins, _ = linear(30, noise=1.0)

    def solved(rows: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
        inputs, outputs = masks[rows] - masks[rows].mean(0), margins[rows] - margins[rows].mean(0)
        found = torch.linalg.solve(inputs.T @ inputs + ridge * torch.eye(8), inputs.T @ outputs)
        return found, margins[rows].mean(0) - masks[rows].mean(0) @ found

    errors = []
    for ridge in RIDGES:
        error = 0.0
        for left in range(30):
            slope, start = solved(torch.tensor([row for row in range(30) if row != left]), ridge)
            error += float((masks[left] @ slope + start - margins[left]).square().sum())
        errors.append(error)
    best = int(np.argmin(errors))
    assert 0 < best < len(RIDGES) - 1
    expected = solved(torch.arange(30), RIDGES[best])[0].T
    torch.testing.assert_close(RidgeDatamodel().scores(masks, margins), expected)


def test_the_lasso_finds_the_images_that_matter() -> None:
    masks, margins, truth = linear(200)
    found = LassoDatamodel().scores(masks, margins)
    torch.testing.assert_close(found, truth, rtol=0, atol=0.1)
    assert (found[:, 3:] == 0).sum() > 5


@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    optimizer=st.sampled_from(["adam", "sgd"]),
    decay=st.sampled_from([0.0, 0.01]),
    schedule=st.sampled_from(["constant", "onecycle"]),
)
def test_metagradients_are_finite_differences_of_training(optimizer: str, decay: float, schedule: str) -> None:
    fields = {
        "optimizer": optimizer,
        "weight_decay": decay,
        "schedule": schedule,
        "epochs": 2,
        "checkpoint_epochs": [2],
    }
    (spec,) = specs_of(1, **fields)
    whole = dataset()
    pixels, labels = normalised(whole, whole.train, "cpu")
    train, shown = Images(pixels.double(), labels), Images(asked(2).images.double(), asked(2).labels)
    module = build_model(spec, whole, "cpu")

    def outputs(weights: Tensor) -> Tensor:
        parameters = trained(module, spec, train, weights)
        return margins_by_odds(functional_call(module, dict(parameters), (shown.images,)), shown.labels).detach()

    plain = train_model(spec, whole).checkpoints[-1].state
    for name, value in trained(module, spec, train, torch.ones(IMAGES).double()).items():
        torch.testing.assert_close(value.detach().float(), plain[name], rtol=1e-3, atol=2e-4)
    found, step = metagradients(module, spec, train, shown), 1e-5
    seen = (found != 0).any(0).nonzero().flatten()
    assert 0 < len(seen) <= IMAGES / 2
    for image in seen[:3].tolist():
        bump = torch.zeros(IMAGES, dtype=torch.float64)
        bump[image] = step
        difference = (outputs(1 + bump) - outputs(1 - bump)) / (2 * step)
        torch.testing.assert_close(found[:, image], difference, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ATTRIBUTION)
def test_every_method_gives_a_score_for_each_pair_of_images(name: str) -> None:
    if name == "influence_ekfac":
        pytest.importorskip("kronfluence")
    method = get_method(name)
    settings = {"size": 20, "ridge": 0.01} if name == "trak" else {}
    fitted = method.fit(TokenSet(1, ()), 3, method.config(None, settings))
    assert isinstance(fitted, Attributor)
    scores = fitted.attribute(bank_of(width=1 / 64) if name == "source" else bank_of(), asked())
    assert scores.shape == (5, IMAGES) and scores.dtype == torch.float32 and scores.isfinite().all()
    assert scores.std() > 0 or name == "datamodel_lasso"  # six models say nothing of sixty images


@pytest.mark.parametrize("name", ["empirical_influence", "datamodel_ridge", "datamodel_lasso"])
def test_methods_of_subsets_need_subsets(name: str) -> None:
    models = bank_of()
    whole = models.table.assign(subset_fraction=None, subset_seed=None)
    same = Population.of("whole", models.tokenizer, models.weights, whole).shown(models.granted)
    with pytest.raises(InapplicableError, match="all saw the same images"):
        get_method(name).fit(TokenSet(1, ()), 0, None).attribute(same, asked())
