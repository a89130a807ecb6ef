"""Captured layer inputs of many models at once equal those of forward hooks for each alone."""

from __future__ import annotations

import pytest
import torch
from helpers.networks import CHANNELS, Network
from hypothesis import given
from hypothesis import strategies as st
from networks.test_evaluation import images, models_of
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.capture import capture, moments
from zoo_generation.networks.program import Program


def seen_by_hooks(module: nn.Module, shown: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Inputs [inputs, rows] of each layer by PyTorch's own unfolding, and outputs [outputs, rows], by layer."""
    inputs: dict[str, list[Tensor]] = {}
    outputs: dict[str, list[Tensor]] = {}

    def note(name: str, layer: nn.Module, given: Tensor, out: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            given = F.unfold(given, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
            given, out = given.permute(1, 2, 0).flatten(1), out.permute(1, 2, 3, 0).flatten(1)
        else:
            given, out = given.T, out.T
        inputs.setdefault(name, []).append(given)
        outputs.setdefault(name, []).append(out)

    hooks = [
        layer.register_forward_hook(lambda layer, args, out, name=name: note(name, layer, args[0], out))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        module.eval()(shown)
    for hook in hooks:
        hook.remove()
    return tuple({name: torch.cat(calls, 1) for name, calls in each.items()} for each in (inputs, outputs))


@pytest.mark.parametrize("name", ["cnn_s", "mlp", "resnet18", "unstackable"])
def test_captured_inputs_and_moments_are_those_of_hooks(name: str) -> None:
    weights, layout, module = models_of(name, 3)
    shown = images(20).images
    for entry in layout:
        if "running_var" in entry.name:  # not what they are built as
            weights[:, entry.span] *= 2
    batches = list(capture(weights, layout, module, shown, batch=16))
    found = moments(weights, layout, module, shown)
    for model, flat in enumerate(weights):
        module.load_state_dict(layout.unflatten(flat), strict=False)
        inputs, outputs = seen_by_hooks(module, shown)
        parts = [seen_by_hooks(module, part)[0] for part in shown.split(16)]
        assert inputs.keys() == found.grams.keys() == batches[0].keys()
        assert list(inputs) == [n for n, layer in module.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        for layer, rows in inputs.items():
            for captured, part in zip(batches, parts, strict=True):
                torch.testing.assert_close(captured[layer][model], part[layer], rtol=1e-4, atol=1e-4)
            x = rows.double()
            assert found.counts[layer] == x.shape[1]
            close(found.grams[layer][model], x @ x.T / x.shape[1])
            close(found.means[layer][model], x.mean(1))
            x = torch.cat([x, torch.ones_like(x[:1])])
            close(found.with_bias(layer)[model], x @ x.T / x.shape[1])
            weight = weights[:, layout[f"{layer}.weight"].span].view(3, *layout[f"{layer}.weight"].shape)
            bias = weights[:, layout[f"{layer}.bias"].span] if f"{layer}.bias" in layout else None
            mean, std = found.outputs(layer, weight, bias)
            close(mean[model], outputs[layer].double().mean(1))
            close(std[model], outputs[layer].double().std(1, correction=0))


def close(found: Tensor, expected: Tensor) -> None:
    """As near as float32 activations are, which a stack and PyTorch round each in their own way."""
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(1 + expected.abs().max()))


@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    groups=st.sampled_from([1, 2]),
    stacked=st.booleans(),
)
def test_a_convolution_is_its_weight_times_its_patches(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
    groups: int,
    stacked: bool,
) -> None:
    torch.manual_seed(0)
    mode = "zeros" if stacked else "circular"
    layer = nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups, padding_mode=mode)
    module = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layout, shown = Layout.of(module.state_dict()), torch.randn(3, 4, 6, 7)
    weights = torch.randn(2, layout.size)
    assert (Program(module, layout, shown[:1], "cpu").stack is not None) == stacked
    (found,) = capture(weights, layout, module, shown)
    statistics = moments(weights, layout, module, shown)
    weight = weights[:, layout["0.weight"].span].view(2, 6, -1)
    mean, std = statistics.outputs("0", weight)
    for model in range(2):
        layer.load_state_dict({"weight": weight[model].view_as(layer.weight), "bias": torch.zeros(6)})
        expected = layer(shown).detach().permute(1, 2, 3, 0).flatten(1)
        rows = found["0"][model].double()
        torch.testing.assert_close(statistics.grams["0"][model], rows @ rows.T / rows.shape[1], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(statistics.means["0"][model], rows.mean(1), rtol=1e-12, atol=1e-12)
        patches = found["0"][model].unflatten(0, (groups, -1))
        output = torch.cat([w @ x for w, x in zip(weight[model].chunk(groups), patches, strict=True)])
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mean[model], expected.double().mean(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(std[model], expected.double().std(1, correction=0), rtol=1e-4, atol=1e-5)


def test_moments_do_not_depend_on_how_models_and_images_are_cut() -> None:
    weights, layout, module = models_of("cnn_s", 11)
    shown = images(300).images
    together = moments(weights, layout, module, shown, ["module_list.3", "module_list.11"])
    assert together.grams.keys() == {"module_list.3", "module_list.11"}
    for part in (slice(0, 2), slice(7, 11)):
        apart = moments(weights[part], layout, module, shown)
        for layer in together.grams:
            torch.testing.assert_close(together.grams[layer][part], apart.grams[layer], rtol=1e-6, atol=1e-9)


def test_a_layer_that_is_called_twice_has_the_rows_of_both_calls() -> None:
    module = Network(("called twice",), CHANNELS, 10).eval()
    layout = Layout.of(module.state_dict())
    weights, shown = layout.flatten(module.state_dict())[None], torch.randn(5, CHANNELS, 8, 8)
    assert Program(module, layout, shown[:1], "cpu").stack is not None
    (found,) = capture(weights, layout, module, shown, ["blocks.0.conv"])
    module.load_state_dict(layout.unflatten(weights[0]), strict=False)
    expected = seen_by_hooks(module, shown)[0]["blocks.0.conv"]
    torch.testing.assert_close(found["blocks.0.conv"][0], expected, rtol=1e-4, atol=1e-4)
    assert moments(weights, layout, module, shown).counts["blocks.0.conv"] == expected.shape[1]


def test_layers_without_inputs_are_told() -> None:
    module = Network(("unused",), CHANNELS, 10)
    layout = Layout.of(module.state_dict())
    weights, shown = layout.flatten(module.state_dict())[None], torch.randn(2, CHANNELS, 8, 8)
    assert "blocks.0.conv" not in moments(weights, layout, module, shown).grams
    with pytest.raises(InputError, match=r"'blocks\.0\.conv' has no inputs, since it does not run"):
        moments(weights, layout, module, shown, ["stem", "blocks.0.conv"])
    with pytest.raises(InputError, match=r"unknown weight layer 'blocks\.0\.norm'"):
        next(capture(weights, layout, module, shown, ["blocks.0.norm"]))
