"""Largest eigenvalues and traces of many models are those of each one's whole Hessian."""

from __future__ import annotations

import pytest
import torch
from networks.test_evaluation import images, models_of
from networks.test_gradients import loss_of, small
from torch import Tensor, nn

from zoo_generation.data.images import Images
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.curvature import curvature, largest_eigenvalues, signs
from zoo_generation.networks.gradients import positions

MANY = 100  # steps of Lanczos: more than the largest eigenvalue needs


def whole_hessians(
    blocks: tuple[str, ...], models: int
) -> tuple[list[Tensor], tuple[Tensor, Layout, nn.Module, Images]]:
    weights, layout, module, shown = small(blocks, models)
    places = positions(layout, module)
    module.double().eval()
    hessians = []
    for each in weights.double():
        module.load_state_dict(layout.unflatten(each), strict=False)
        hessians.append(torch.autograd.functional.hessian(lambda values: loss_of(values, module, shown), each[places]))
    module.float()
    return hessians, (weights, layout, module, shown)


def arithmetic_model() -> tuple[Tensor, Layout, nn.Module, Images]:
    """Two models and images made of sines alone, the same everywhere, in double precision."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Tanh(), nn.BatchNorm1d(5), nn.Linear(5, 3)).eval()
    layout = Layout.of(module.state_dict())
    weights = torch.sin(torch.arange(2.0 * layout.size, dtype=torch.float64) * 1.7).reshape(2, -1)
    weights[:, layout["3.running_var"].span] += 2
    pixels = torch.cos(torch.arange(72.0, dtype=torch.float64) * 0.9).reshape(8, 1, 3, 3)
    return weights, layout, module, Images(pixels, torch.arange(8) % 3)


@pytest.mark.parametrize("blocks", ["functional tanh", "batch norm+residual"])
def test_eigenvalues_and_traces_are_those_of_the_whole_hessian(blocks: str) -> None:
    hessians, (weights, layout, module, shown) = whole_hessians(tuple(blocks.split("+")), 2)
    probes = signs(5, len(hessians[0]), seed=3)
    found = curvature(weights.double(), layout, module, shown, steps=MANY, probes=5, seed=3)
    for number, hessian in enumerate(hessians):
        assert float(found.top_eigenvalue[number]) == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-9)
        quadratic = torch.einsum("kp,pq,kq->k", probes, hessian, probes).mean()
        assert float(found.trace[number]) == pytest.approx(float(quadratic), rel=1e-9)
    single = curvature(weights, layout, module, shown, steps=20, probes=5, seed=3)
    torch.testing.assert_close(single.trace, found.trace, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(single.top_eigenvalue, found.top_eigenvalue, rtol=1e-3, atol=1e-4)


def test_curvature_is_that_of_curvlinops() -> None:
    """Recorded of version 3.0.1: `HessianLinearOperator` with SciPy's `eigsh`, and products with the same probes."""
    found = curvature(*arithmetic_model(), steps=MANY, probes=8, seed=1)
    assert found.top_eigenvalue.tolist() == pytest.approx([2.362440030222917, 3.221638457740044], rel=1e-9)
    assert found.trace.tolist() == pytest.approx([2.414611260487876, 4.325554522544236], rel=1e-9)


def test_curvature_does_not_depend_on_the_stack() -> None:
    weights, layout, module = models_of("cnn_s", 3)
    shown = images(8)
    together = curvature(weights.double(), layout, module, shown, steps=4, probes=2)
    alone = curvature(weights[2:].double(), layout, module, shown, steps=4, probes=2)
    torch.testing.assert_close(alone.trace, together.trace[2:], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(alone.top_eigenvalue, together.top_eigenvalue[2:], rtol=1e-7, atol=1e-10)


def test_few_probes_are_the_first_of_many() -> None:
    assert torch.equal(signs(2, 7, seed=5), signs(4, 7, seed=5)[:2])
    assert not torch.equal(signs(1, 64, seed=5), signs(1, 64, seed=6))


def test_lanczos_ends_where_the_hessian_does() -> None:
    """A Hessian of rank one leaves nothing to find after a step, in whatever stack it is."""
    direction = torch.arange(1.0, 7, dtype=torch.float64)
    matrices = torch.stack([torch.outer(direction, direction), torch.diag(direction)])

    def product(vectors: Tensor) -> Tensor:
        return torch.einsum("mpq,kmq->kmp", matrices, vectors)

    start = torch.ones(2, 6, dtype=torch.float64)
    found = largest_eigenvalues(product, start, steps=6)
    torch.testing.assert_close(found, torch.tensor([float(direction @ direction), 6.0], dtype=torch.float64))
