"""Derivatives of many networks at once equal those of plain autograd for each, image by image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers.networks import SIDE, Network
from networks.test_evaluation import images, models_of
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks import gradients
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.gradients import gauss_newton, hessian_vector, per_example, positions
from zoo_generation.networks.program import with_ties
from zoo_generation.networks.projection import Projection

OUTPUTS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "loss": lambda logits, label: -logits.log_softmax(0)[label],
    "logit": lambda logits, label: logits[label],
    "margin": lambda logits, label: (p := logits.softmax(0)[label]).log() - (1 - p).log(),
}
"""Of one image's logits, as the papers write them."""


def small(blocks: tuple[str, ...], models: int) -> tuple[Tensor, Layout, nn.Module, Images]:
    """Models of a few hundred weights, and images of them."""
    torch.manual_seed(0)
    module = Network(blocks, 1, 3)
    layout = Layout.of(module.state_dict())
    weights = with_ties(torch.rand(models, layout.size), layout, module)
    return weights, layout, module.eval(), Images(torch.randn(6, 1, SIDE, SIDE), torch.arange(6) % 3)


def loss_of(parameters: Tensor, module: nn.Module, shown: Images) -> Tensor:
    """The mean cross-entropy as a function of all parameters with a gradient, end to end."""
    free = {name: value for name, value in module.named_parameters() if value.requires_grad}
    parts = parameters.split([value.numel() for value in free.values()])
    given = {name: part.view_as(value) for (name, value), part in zip(free.items(), parts, strict=True)}
    return F.cross_entropy(functional_call(module, given, (shown.images.to(parameters.dtype),)), shown.labels)


@pytest.mark.parametrize("of", OUTPUTS)
@pytest.mark.parametrize("name", ["cnn_s", "mlp", "resnet18", "unstackable"])
def test_per_example_gradients_are_those_of_batches_of_one(name: str, of: str) -> None:
    weights, layout, module = models_of(name, 2)
    weights, shown = weights.double(), images(4)
    found = per_example(weights, layout, module, shown, of)
    projection = Projection(16, seed=3)
    projected = per_example(weights.float(), layout, module, shown, of, projection)
    matrix = projection(torch.eye(found.shape[2], dtype=torch.float64))
    assert found.dtype == torch.float64 and projected.dtype == torch.float32
    for model in range(2):
        alone = module.double().eval()
        alone.load_state_dict(layout.unflatten(weights[model]), strict=False)
        for number, (image, label) in enumerate(zip(shown.images.double(), shown.labels.tolist(), strict=True)):
            alone.zero_grad()
            OUTPUTS[of](alone(image[None])[0], label).backward()
            expected = torch.cat([parameter.grad.flatten() for parameter in alone.parameters()])
            torch.testing.assert_close(found[model, number], expected, rtol=1e-7, atol=1e-9)
            scale = float(expected.norm())
            torch.testing.assert_close(projected[model, number].double(), expected @ matrix, rtol=0, atol=1e-4 * scale)
        module.float()


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 5), (5, 7)])
@pytest.mark.parametrize("pool", [1, 2])
def test_compiled_kernels_give_gradients_of_any_shape(kernel: tuple[int, int], pool: int) -> None:
    """Kernels that five taps do not divide, maps that four columns do not, images that a batch does not."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 3, kernel, padding=1), nn.Conv2d(3, 4, kernel, bias=False)
    pooling = [nn.MaxPool2d(2)] if pool == 2 else []
    head = nn.LazyLinear(5)
    module = nn.Sequential(first, *pooling, nn.Tanh(), second, nn.SiLU(), nn.Flatten(), head).eval()
    shown = Images(torch.randn(67, 2, 19, 21), torch.arange(67) % 5)
    module(shown.images)
    layout = Layout.of(module.state_dict())
    weights = 0.3 * torch.randn(3, layout.size)
    found = per_example(weights, layout, module, shown, "margin")
    exact = per_example(weights.double(), layout, module, shown, "margin")
    assert found.shape == exact.shape == (3, 67, layout.size)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5 * float(exact.abs().max()))


def test_many_models_are_projected_each_by_its_own() -> None:
    """More models than run at once, and more images."""
    weights, layout, module = models_of("cnn_s", 9)
    shown, turns = images(70), [Projection(8, seed) for seed in range(9)]
    together = per_example(weights, layout, module, shown, project=turns)
    alone = [per_example(weights[at][None], layout, module, shown, project=turns[at])[0] for at in range(9)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frozen", ["0.weight", "0.bias", "3.weight", "3.bias"])
def test_half_a_layer_may_be_frozen(frozen: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 3)).eval()
    module.get_parameter(frozen).requires_grad_(False)
    layout, shown = Layout.of(module.state_dict()), Images(torch.randn(70, 1, 6, 6), torch.arange(70) % 3)
    weights = torch.randn(2, layout.size)
    found, exact = (per_example(each, layout, module, shown) for each in (weights, weights.double()))
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5 * float(exact.abs().max()))


def test_positions_say_where_the_parameters_are() -> None:
    weights, layout, module = models_of("resnet18", 1)
    module.load_state_dict(layout.unflatten(weights[0]), strict=False)
    parameters = torch.cat([parameter.detach().flatten() for parameter in module.parameters()])
    assert torch.equal(weights[0, positions(layout, module)], parameters)
    module.conv1.requires_grad_(False)
    assert len(positions(layout, module)) == len(parameters) - module.conv1.weight.numel()
    assert per_example(weights, layout, module, images(1)).shape[2] == len(positions(layout, module))


@pytest.mark.parametrize(
    "blocks", ["functional tanh", "pooled+gelu", "batch norm+residual", "layer norm+tied", "unused+frozen"]
)
def test_products_with_the_hessian_are_exact(blocks: str) -> None:
    weights, layout, module, shown = small(tuple(blocks.split("+")), 3)
    places = positions(layout, module)
    vectors = torch.randn(2, 3, len(places), dtype=torch.float64)
    found = hessian_vector(weights, layout, module, shown, vectors)
    torch.testing.assert_close(found[1], hessian_vector(weights, layout, module, shown, vectors[1]))
    module.double().eval()
    for model in range(3):
        module.load_state_dict(layout.unflatten(weights[model]), strict=False)
        flat = weights[model, places].double()
        hessian = torch.autograd.functional.hessian(lambda values: loss_of(values, module, shown), flat)
        assert float(hessian.abs().max()) > 1e-3
        torch.testing.assert_close(found[:, model], vectors[:, model] @ hessian, rtol=1e-8, atol=1e-12)


def test_products_do_not_depend_on_batches_and_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, layout, module = models_of("cnn_s", 9)
    vectors, shown = torch.randn(9, layout.size), images(10)
    together = hessian_vector(weights, layout, module, shown, vectors)
    monkeypatch.setattr(gradients, "LARGEST_BATCH", 4)
    for part in (slice(0, 1), slice(7, 9)):
        apart = hessian_vector(weights[part], layout, module, shown, vectors[part])
        torch.testing.assert_close(apart, together[part], rtol=1e-9, atol=1e-12)


def test_gauss_newton_is_the_hessian_where_logits_are_linear_in_the_parameters() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    layout, shown = Layout.of(module.state_dict()), Images(torch.randn(70, 3, 2, 2), torch.randint(3, (70,)))
    weights = torch.randn(2, layout.size)
    vectors = torch.eye(layout.size)[:, None].expand(-1, 2, -1)
    hessians = hessian_vector(weights, layout, module, shown, vectors).transpose(0, 1)
    torch.testing.assert_close(gauss_newton(weights, layout, module, shown), hessians, rtol=1e-8, atol=1e-12)


def test_gauss_newton_is_the_fisher_information() -> None:
    """The second moment of the gradients of the loss, labels drawn by the network's own probabilities."""
    weights, layout, module, shown = small(("batch norm", "functional tanh"), 1)
    found = gauss_newton(weights, layout, module, shown)[0]
    module.load_state_dict(layout.unflatten(weights[0]), strict=False)
    shares = module.double()(shown.images.double()).softmax(1).detach()
    expected = torch.zeros_like(found)
    for label in range(3):
        rows = per_example(weights.double(), layout, module.float(), Images(shown.images, torch.full((6,), label)))[0]
        expected += (shares[:, label, None] * rows).T @ rows / 6
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("plain batch norm", "depend on the other images of the batch, or on random numbers"),
        ("dropout always", "depend on the other images of the batch, or on random numbers"),
        ("number", "cannot be differentiated image by image: "),
    ],
)
def test_what_has_no_gradient_of_one_image_is_told(block: str, reason: str) -> None:
    weights, layout, module, shown = small((block,), 1)
    with pytest.raises(InputError, match=reason) as error:
        per_example(weights, layout, module, shown)
    assert "\n" not in str(error.value)
    assert next(module.parameters()).dtype == torch.float32


def test_wrong_arguments_are_told() -> None:
    weights, layout, module, shown = small(("conv",), 2)
    with pytest.raises(InputError, match="unknown output to differentiate 'logits': did you mean 'logit'"):
        per_example(weights, layout, module, shown, "logits")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"vectors are of shape \[7\]; give \[2, "):
        hessian_vector(weights, layout, module, shown, torch.zeros(7))
    with pytest.raises(InputError, match="no parameters with a gradient"):
        per_example(weights, layout, module.requires_grad_(False), shown)
