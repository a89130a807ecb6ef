"""TRAK against the authors' own package `traker`: the same scores, a member at a time, and the time of many members.

    pip install --no-deps traker==0.3.2
    python benchmarks/speed/attribution.py --members 50 --repeats 3
    python benchmarks/speed/attribution.py --record tests/methods/recorded/traker.safetensors

Members are networks as they are initialized, and images are digits. For the scores, `traker` gets our projections; for
the time, its own. Time is that of the process on one core, so that other work beside changes little of it. Each of
several repetitions times ours, ours with a sparse projection, and theirs; prints medians, and what the parts of a
member take. `--record` writes what `traker` says of one small network, with its weights, for a test.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.gradients import per_example
from zoo_generation.networks.module import Network, build_module
from zoo_generation.networks.projection import Projection, SparseProjection
from zoo_generation.networks.threads import use_threads
from zoobench.methods.attribution import Trak
from zoobench.methods.attribution.bank import AT_ONCE, Bank
from zoobench.methods.attribution.kernel import SEEDS_APART, kernel_scores
from zoobench.populations import Access, Evidence, Population, Tokenizer

BATCH = 100  # images given to traker at once


def members_of(count: int, images: int, architecture: str = "cnn_s", width: float = 1.0) -> Population:
    """Networks as they are initialized, for so many digits."""
    row = {"dataset": "digits", "train_images": images, "architecture": architecture, "width": width, "image_size": 28}
    row |= {"activation": "tanh", "channels": 1, "classes": 10, "split": "train", "data_part": None, "epoch": 1}
    network = Network(architecture, 1, 10, "tanh", 0.0, width)
    modules = [network.build(seed, "kaiming_uniform") for seed in range(count)]
    layout = Layout.of(modules[0].state_dict())
    weights = torch.stack([layout.flatten(each.state_dict()) for each in modules]).detach()
    table = pd.DataFrame([row | {"model_id": f"{number:016x}"} for number in range(count)])
    models = Population.of("members", Tokenizer.of(layout), weights, table)
    return models.shown(Evidence(Access.LABELS, ImageStore()))


def theirs(models: Population, asked: Images, size: int, projector: object = None) -> Tensor:
    """What traker says: [asked, images]; projector: None for its own."""
    from trak import TRAKer
    from trak.projectors import BasicProjector, ProjectionType

    module, train = build_module(models.table.iloc[0]), models.evidence.labelled("train")
    if projector is None:
        projector = BasicProjector(models.layout.size, size, 0, ProjectionType.normal, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        traker = TRAKer(
            module,
            "image_classification",
            train_set_size=len(train.labels),
            save_dir=folder,
            device="cpu",
            projector=projector,
            proj_dim=size,
            use_half_precision=False,
            logging_level=50,
        )
        states = [models.layout.unflatten(each) for each in models.weights]
        for number, state in enumerate(states):
            traker.load_checkpoint(dict(state), model_id=number)
            for pixels, labels in zip(train.images.split(BATCH), train.labels.split(BATCH), strict=True):
                traker.featurize(batch=(pixels.contiguous(), labels), num_samples=len(labels))
        traker.finalize_features()
        for number, state in enumerate(states):
            traker.start_scoring_checkpoint("asked", dict(state), number, num_targets=len(asked.labels))
            for pixels, labels in zip(asked.images.split(BATCH), asked.labels.split(BATCH), strict=True):
                traker.score(batch=(pixels.contiguous(), labels), num_samples=len(labels))
        return torch.from_numpy(np.array(traker.finalize_scores("asked"))).T.contiguous()


def ours_for_them(size: int, sparse: bool = False) -> object:
    """Our projection as one of traker's."""
    from trak.projectors import AbstractProjector
    from trak.utils import vectorize

    class Ours(AbstractProjector):
        def __init__(self) -> None:
            super().__init__(0, size, 0, "rademacher", "cpu")

        def project(self, grads: dict[str, Tensor], model_id: int) -> Tensor:
            flat = vectorize(grads, device="cpu") if isinstance(grads, dict) else grads
            return (SparseProjection if sparse else Projection)(size, SEEDS_APART * model_id)(flat)

    return Ours()


def correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's, over all pairs of images."""
    return float(torch.corrcoef(torch.stack([one.flatten().double(), other.flatten().double()]))[0, 1])


def core_seconds(work: Callable[[], object]) -> float:
    """Time of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def parts_of(models: Population, asked: Images, size: int, repeats: int) -> dict[str, float]:
    """Median core-seconds of each part of one member's scores, alone; of gradients, a share of a call for `AT_ONCE`."""
    bank = Bank.of(models, asked)
    given = models.weights[:AT_ONCE], models.layout, build_module(models.table.iloc[0]), bank.every, "margin"
    gradients = per_example(*given)[0]
    features = Projection(size)(gradients)
    train, shown = features.split([len(bank.train.labels), len(asked.labels)])
    work: dict[str, Callable[[], object]] = {
        "gradients": lambda: per_example(*given),
        "projection": lambda: Projection(size)(gradients),
        "sparse projection": lambda: SparseProjection(size)(gradients),
        "regression": lambda: kernel_scores(train, shown, 1e-6),
    }
    found = {name: statistics.median(core_seconds(each) for _ in range(repeats)) for name, each in work.items()}
    return found | {"gradients": found["gradients"] / len(given[0])}


def record(path: Path) -> None:
    """One small network: its weights, and what traker says of five test images."""
    models = members_of(1, 60, "mlp", 0.03125)
    asked = ImageStore().of(models.row, "test").first(5)
    scores = theirs(models, asked, 8, ours_for_them(8))
    save_file({"weights": models.weights, "scores": scores}, path)
    mine = Trak(members=1, size=8).attribute(models, asked)
    print(f"recorded; correlation with ours {correlation(mine, scores):.6f}")


def main() -> None:
    """Compare, or record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--asked", type=int, default=100)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--record", type=Path)
    args = parser.parse_args()
    use_threads(1)
    if args.record:
        record(args.record)
        return
    models = members_of(args.members, args.images)
    asked = ImageStore().of(models.row, "test").first(args.asked)
    for number in range(min(3, args.members)):
        alone = models.select(np.arange(len(models)) == number)
        found = []
        for kind in (False, True):
            mine = Trak(members=1, size=args.size, sparse=kind).attribute(alone, asked)
            found.append(correlation(mine, theirs(alone, asked, args.size, ours_for_them(args.size, kind))))
        print(f"member {number}: correlation {found[0]:.6f}, with the sparse projection {found[1]:.6f}")
    dense, sparse = (Trak(members=args.members, size=args.size, sparse=each) for each in (False, True))
    compared: dict[str, Callable[[], object]] = {
        "ours": lambda: dense.attribute(models, asked),
        "ours, sparse": lambda: sparse.attribute(models, asked),
        "traker": lambda: theirs(models, asked, args.size),
    }
    times = {name: list[float]() for name in compared}
    for _ in range(args.repeats):
        for name, work in compared.items():
            times[name].append(core_seconds(work))
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, seconds in medians.items():
        print(f"{args.members} members, {name}: {seconds:.1f} core-seconds, ratio {medians['traker'] / seconds:.2f}")
    for name, seconds in parts_of(models, asked, args.size, args.repeats).items():
        print(f"of a member, {name}: {1000 * seconds:.0f} core-milliseconds")


if __name__ == "__main__":
    main()
