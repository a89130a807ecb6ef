"""Time the landscape around many models at once, against one model, or one pair, at a time.

    python benchmarks/speed/landscape.py
    python benchmarks/speed/landscape.py --architecture mlp --models 8
    python benchmarks/speed/landscape.py --pyhessian      # beside the package pyhessian, if it is installed

Curvature: the largest eigenvalue by 15 steps of Lanczos and the trace by 30 fixed probes, of all models. Beside it, one
model at a time by the rule that PyHessian has: power iteration of up to 100 steps until the eigenvalue moves by less
than a thousandth, and up to 100 probes until their mean does. Curves: all pairs of models at once, and one after the
other, which give the same. Weights are trained for two epochs, since the loop's number of steps depends on them. Prints
medians of alternated repetitions, and ratios.
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
from zoo_generation.networks.curvature import curvature
from zoo_generation.networks.curves import CurveTraining, curve_middles
from zoo_generation.networks.module import Network
from zoo_generation.networks.program import norms_of
from zoo_generation.networks.threads import use_threads
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_models

MOST, MOVES = 100, 1e-3  # steps or probes, and how far the last may move the result, relatively


def one_model(module: nn.Module, shown: Images) -> tuple[float, float]:
    """The eigenvalue of largest modulus, and the trace, of one model, by products with its Hessian one by one."""
    parameters = [each for each in module.parameters() if each.requires_grad]
    loss = F.cross_entropy(module(shown.images), shown.labels)
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)

    def product(vectors: list[Tensor]) -> list[Tensor]:
        return list(torch.autograd.grad(gradients, parameters, vectors, retain_graph=True))

    def dot(one: list[Tensor], other: list[Tensor]) -> float:
        return float(sum((a * b).sum() for a, b in zip(one, other, strict=True)))

    vector, eigenvalue = [torch.randn_like(each) for each in parameters], None
    for _ in range(MOST):
        length = dot(vector, vector) ** 0.5
        vector = [each / length for each in vector]
        image = product(vector)
        found, vector = dot(vector, image), image
        if eigenvalue is not None and abs(found - eigenvalue) / (abs(eigenvalue) + 1e-6) < MOVES:
            break
        eigenvalue = found
    sums, mean = [], 0.0
    for _ in range(MOST):
        probe = [torch.randint_like(each, 2) * 2 - 1 for each in parameters]
        sums.append(dot(probe, product(probe)))
        if abs(statistics.fmean(sums) - mean) / (abs(mean) + 1e-6) < MOVES:
            break
        mean = statistics.fmean(sums)
    return found, statistics.fmean(sums)


def by_pyhessian(module: nn.Module, shown: Images) -> tuple[float, float]:
    """The same by the package."""
    from pyhessian import hessian

    found = hessian(module, nn.CrossEntropyLoss(), data=(shown.images, shown.labels), cuda=False)
    values, _ = found.eigenvalues()
    return float(values[0]), statistics.fmean(map(float, found.trace()))


def main() -> None:
    """Read the options, alternate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="resnet18")
    parser.add_argument("--width", type=float, default=0.0625)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--models", type=int, default=6)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=1, help="of curves")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pyhessian", action="store_true")
    options = parser.parse_args()
    use_threads(options.threads)
    chosen = get_architecture(options.architecture)
    side = chosen.image_size if chosen.fixed_image_size else options.side
    dataset = load_dataset(options.dataset, train_images=1000).fit(1, side)
    spec = make_spec(
        {"datasets": options.dataset, "architectures": options.architecture, "width": options.width}
        | {"activation": "relu", "image_size": side, "channels": 1, "optimizer": "sgd", "learning_rate": 0.05}
        | {"seeds": options.models, "epochs": 2, "train_images": 1000}
    )
    trained = train_models(spec.models(), dataset, options.models)
    network = Network(options.architecture, 1, len(dataset.classes), "relu", 0.0, options.width)
    module = network.build(0, "kaiming_uniform").eval()
    layout = Layout.of(module.state_dict())
    weights = torch.stack([layout.flatten(each.checkpoints[-1].state) for each in trained])
    images, labels = normalised(dataset, dataset.train, "cpu")
    train = Images(images.contiguous(), labels)
    few = Images(train.images[: options.images], train.labels[: options.images])
    print(
        f"{options.models} {options.architecture} ×{options.width:g}, {layout.size} weights, {options.threads} threads"
    )

    def loop(one: object = one_model) -> list[tuple[float, float]]:
        found = []
        for each in weights:
            module.load_state_dict(layout.unflatten(each), strict=False)
            found.append(one(module.float().eval(), few))
        return found

    exact = weights if norms_of(module) else weights.double()  # as `zoobench zoo landscape` does on a CPU
    ours, theirs = curvature(exact, layout, module, few), loop()
    tops, traces = (torch.tensor(each) for each in zip(*theirs, strict=True))
    for name, found, given in (("eigenvalue", ours.top_eigenvalue, tops), ("trace", ours.trace, traces)):
        print(f"{name}: ours {[round(float(v), 2) for v in found]}, the loop's {[round(float(v), 2) for v in given]}")
    times = defaultdict(list)
    pairs = torch.combinations(torch.arange(options.models))[:8]
    training = CurveTraining(epochs=options.epochs)

    def curves(some: Tensor) -> Tensor:
        return curve_middles(weights[some[:, 0]], weights[some[:, 1]], layout, module, train, training=training)

    for _ in range(options.repeats):
        times["curvature"].append(seconds(lambda: curvature(exact, layout, module, few)))
        times["curvature loop"].append(seconds(loop))
        if options.pyhessian:
            times["pyhessian"].append(seconds(lambda: loop(by_pyhessian)))
        times["curves"].append(seconds(lambda: curves(pairs)))
        times["curves loop"].append(seconds(lambda: [curves(pair[None]) for pair in pairs]))
    told = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"curvature {told['curvature']:8.2f} s, one by one {told['curvature loop']:8.2f} s, ", end="")
    print(f"ratio {told['curvature loop'] / told['curvature']:5.1f}")
    if options.pyhessian:
        print(f"pyhessian {told['pyhessian']:8.2f} s, ratio {told['pyhessian'] / told['curvature']:5.1f}")
    print(f"curves    {told['curves']:8.2f} s, one by one {told['curves loop']:8.2f} s, ", end="")
    print(f"ratio {told['curves loop'] / told['curves']:5.1f}")


if __name__ == "__main__":
    main()
