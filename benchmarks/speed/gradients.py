"""Time per-example gradients and moments of layer inputs of many models, against one image and one model at a time.

    python benchmarks/speed/gradients.py
    python benchmarks/speed/gradients.py --architecture resnet18 --width 0.0625 --images 64

The loop for gradients is a backward pass per image and model, with every gradient copied. The loop for moments runs
each model alone with forward hooks, unfolds the inputs by PyTorch, and sums their products in double precision. Weights
are drawn, not trained. Both ways give the same, which is checked. Prints medians of alternated repetitions.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict

import torch
from timing import seconds
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_generation.data import load_dataset
from zoo_generation.data.images import Images, normalised
from zoo_generation.networks.architectures import Layout, get_architecture
from zoo_generation.networks.capture import moments
from zoo_generation.networks.gradients import per_example
from zoo_generation.networks.module import Network
from zoo_generation.networks.threads import use_threads


def image_by_image(weights: Tensor, layout: Layout, module: nn.Module, shown: Images) -> Tensor:
    """Gradients [models, images, P] of the loss."""
    rows = []
    for flat in weights:
        module.load_state_dict(layout.unflatten(flat), strict=False)
        module.eval()
        for image, label in zip(shown.images.split(1), shown.labels.split(1), strict=True):
            module.zero_grad(set_to_none=True)
            F.cross_entropy(module(image), label).backward()
            rows.append(torch.cat([each.grad.flatten() for each in module.parameters() if each.grad is not None]))
    return torch.stack(rows).view(len(weights), len(shown.labels), -1)


@torch.no_grad()
def model_by_model(weights: Tensor, layout: Layout, module: nn.Module, shown: Images) -> dict[str, Tensor]:
    """Gram matrices [models, inputs, inputs] by layer."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    found = defaultdict(list)

    def note(name: str, layer: nn.Module, given: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            given = F.unfold(given, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
            given = given.permute(0, 2, 1).flatten(0, 1)
        rows = given.double()
        sums[name] = sums.get(name, 0) + rows.T @ rows
        counts[name] = counts.get(name, 0) + len(rows)

    hooks = [
        layer.register_forward_pre_hook(lambda layer, args, name=name: note(name, layer, args[0]))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    for flat in weights:
        sums.clear()
        counts.clear()
        module.load_state_dict(layout.unflatten(flat), strict=False)
        module.eval()
        for batch in shown.images.split(64):
            module(batch)
        for name, value in sums.items():
            found[name].append(value / counts[name])
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(values) for name, values in found.items()}


def main() -> None:
    """Read the options, alternate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="cnn_s")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--dataset", default="glyphs")
    parser.add_argument("--models", type=int, default=16)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    use_threads(options.threads)
    dataset = load_dataset(options.dataset, train_images=options.images)
    dataset = dataset.fit(dataset.channels, get_architecture(options.architecture).image_size)
    shown = Images(*normalised(dataset, dataset.train, "cpu"))
    network = Network(options.architecture, dataset.channels, len(dataset.classes), "tanh", 0.0, options.width)
    modules = [network.build(seed, "kaiming_uniform") for seed in range(options.models)]
    module, layout = modules[0], Layout.of(modules[0].state_dict())
    weights = torch.stack([layout.flatten(each.state_dict()) for each in modules]).detach()
    given = weights, layout, module

    gradients = per_example(*given, shown), image_by_image(*given, shown)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)
    together, apart = moments(*given, shown.images), model_by_model(*given, shown)
    for name, grams in apart.items():
        torch.testing.assert_close(together.grams[name], grams, rtol=1e-3, atol=1e-4)

    ways = {
        "per-example gradients": lambda: per_example(*given, shown),
        "image by image": lambda: image_by_image(*given, shown),
        "moments": lambda: moments(*given, shown.images),
        "model by model": lambda: model_by_model(*given, shown),
    }
    times = defaultdict(list)
    for _ in range(options.repeats):
        for name, work in ways.items():
            times[name].append(seconds(work))
    for name, taken in times.items():
        print(f"{name:22} {1000 * statistics.median(taken) / options.models:8.1f} ms per model")


if __name__ == "__main__":
    main()
