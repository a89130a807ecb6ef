"""Time the merging of many pairs of models at once, against one pair and one model at a time.

    python benchmarks/speed/merging.py
    python benchmarks/speed/merging.py --models 16 --images 200 --repeats 1

First the Gram matrices of all layers of all models; then each method on all pairs together, and on one pair after the
other. The loop for Grams runs each model alone with forward hooks, unfolds by PyTorch, and sums in double precision.
Weights are drawn, not trained, and images are noise. All ways give the same, which is checked. Prints medians of
alternated repetitions, and ratios.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from dataclasses import dataclass

import pandas as pd
import torch
from gradients import model_by_model
from timing import seconds
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.capture import moments
from zoo_generation.networks.module import Network, build_module
from zoo_generation.networks.threads import use_threads
from zoobench.methods.granting import granted
from zoobench.methods.registry import get_method
from zoobench.populations import Access, Population, Tokenizer

METHODS = ("average", "matched_average", "regmean", "regmean_plus", "pleas", "fisher", "repair")


@dataclass(frozen=True)
class Noise(ImageStore):
    """Images of noise."""

    count: int = 1000

    def of(self, row: pd.Series, split: str) -> Images:
        """[count, 1, 28, 28], the same for all models."""
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randn(self.count, 1, 28, 28, generator=generator)
        return Images(pixels, torch.randint(10, (self.count,), generator=generator))


def made_up(count: int) -> Population:
    """Models of cnn_s as they are initialized."""
    row = {"dataset": "noise", "train_images": None, "architecture": "cnn_s", "width": 1.0, "image_size": 28}
    row |= {"activation": "tanh", "channels": 1, "classes": 10, "split": "test"}
    network = Network("cnn_s", 1, 10, "tanh", 0.0, 1.0)
    modules = [network.build(seed, "kaiming_uniform") for seed in range(count)]
    layout = Layout.of(modules[0].state_dict())
    weights = torch.stack([layout.flatten(each.state_dict()) for each in modules]).detach()
    return Population.of("noise", Tokenizer.of(layout), weights, pd.DataFrame([row] * count))


def main() -> None:
    """Read the options, alternate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    options = parser.parse_args()
    use_threads(options.threads)
    models, store = made_up(options.models), Noise(count=options.images)
    shown, module = store.of(models.row, "train"), build_module(models.row)
    print(f"{options.models} cnn_s, {options.images} images, {options.threads} threads")

    given = models.weights, models.layout, module
    together, apart = moments(*given, shown.images), model_by_model(*given, shown)
    for name, grams in apart.items():
        torch.testing.assert_close(together.grams[name], grams, rtol=1e-3, atol=1e-4)
    times = defaultdict(list)
    for _ in range(options.repeats):
        times["Grams"].append(seconds(lambda: moments(*given, shown.images)))
        times["Grams alone"].append(seconds(lambda: model_by_model(*given, shown)))
    told("Grams", times["Grams"], times["Grams alone"])

    pairs = torch.arange(options.models // 2 * 2).view(-1, 2)
    for name in options.methods:
        method = get_method(name)
        known = granted(method, models, Access.LABELS, store)
        fitted = method.fit(None, 0, method.config(None))

        def at_once(fitted: object = fitted, known: Population = known) -> Tensor:
            return fitted.merge(known, pairs, None, 0)

        def one_by_one(fitted: object = fitted, known: Population = known) -> Tensor:
            return torch.cat([fitted.merge(known, pair[None], None, 0) for pair in pairs])

        torch.testing.assert_close(at_once(), one_by_one(), rtol=1e-2, atol=1e-3)
        for _ in range(options.repeats):
            times[name].append(seconds(at_once))
            times[f"{name} alone"].append(seconds(one_by_one))
        told(name, times[name], times[f"{name} alone"])


def told(name: str, together: list[float], alone: list[float]) -> None:
    """Print medians and their ratio."""
    fast, slow = statistics.median(together), statistics.median(alone)
    print(f"{name:16} {fast:8.2f} s together, {slow:8.2f} s one by one: {slow / fast:5.1f} times", flush=True)


if __name__ == "__main__":
    main()
