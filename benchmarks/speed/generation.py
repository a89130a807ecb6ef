"""Time generating and judging candidates: all at once, against one at a time, in one process and in alternation.

    python benchmarks/speed/generation.py --dataset mnist --data-root DIR
    python benchmarks/speed/generation.py --dataset mnist --data-root DIR --architecture resnet18 --width 0.0625

One at a time is the obvious loop: draw a latent, decode it, load the state dict into an `nn.Module` (channels-last),
show it batches of 100 training images where it has BatchNorm, and count what it classifies rightly in batches of 500.
SANE is of the configuration `tiny`, not trained, since that takes no other time; so are the five anchors, which both
ways encode once beforehand. Prints the medians of alternated repetitions: candidates a second, and the milliseconds of
each stage.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo_generation.data import load_dataset
from zoo_generation.data.images import Images
from zoo_generation.data.load import images_of
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.threads import use_threads
from zoobench.methods.density import draw
from zoobench.methods.sane import PRESETS, Sane
from zoobench.populations.target import Target

STAGES = ("sample", "decode", "condition", "evaluate")
Times = dict[str, float]


class Clock:
    """Seconds of each stage of one repetition."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.taken: Times = dict.fromkeys(STAGES, 0.0)

    def time(self, stage: str, work: Callable[[], Tensor]) -> Tensor:
        started = time.perf_counter()
        result = work()
        if self.device == "cuda":
            torch.cuda.synchronize()
        self.taken[stage] += time.perf_counter() - started
        return result


def at_once(
    sane: Sane, target: Target, latents: Tensor, count: int, training: Images, shown: Images, passes: int, device: str
) -> tuple[Tensor, Times]:
    """Accuracies [count]."""
    clock, generator, c = Clock(device), torch.Generator().manual_seed(0), sane.config
    drawn = clock.time("sample", lambda: draw(latents, count, c.density, c.bandwidth, c.relative_bandwidth, generator))
    flat = clock.time("decode", lambda: sane.decode(target.tokenizer, drawn))
    module, layout = target.module(), target.layout
    flat = clock.time("condition", lambda: condition_batch_norm(flat, layout, module, training, passes, device=device))
    return clock.time("evaluate", lambda: accuracies(flat, layout, module, shown, device)), clock.taken


@torch.no_grad()
def one_at_a_time(
    sane: Sane, target: Target, latents: Tensor, count: int, training: Images, shown: Images, passes: int, device: str
) -> tuple[Tensor, Times]:
    """Accuracies [count]."""
    clock, generator, c = Clock(device), torch.Generator().manual_seed(0), sane.config
    module = target.module().to(device, memory_format=torch.channels_last)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    images, labels = shown.images.to(device), shown.labels.to(device)
    batches = training.images[: 100 * passes].to(device).split(100)

    def condition() -> Tensor:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        for batch in batches if norms else ():
            module(batch)
        module.eval()
        return labels

    def count_right() -> Tensor:
        right = [(module(x).argmax(1) == y).sum() for x, y in zip(images.split(500), labels.split(500), strict=True)]
        return torch.stack(right).sum().cpu() / len(labels)

    found = []
    for _ in range(count):
        drawn = clock.time("sample", lambda: draw(latents, 1, c.density, c.bandwidth, c.relative_bandwidth, generator))
        flat = clock.time("decode", lambda drawn=drawn: sane.decode(target.tokenizer, drawn))  # type: ignore[misc]
        module.load_state_dict(target.layout.unflatten(flat[0]), strict=False)
        clock.time("condition", condition)
        found.append(clock.time("evaluate", count_right))
    return torch.stack(found), clock.taken


def main() -> None:
    """Read the options, alternate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="cnn_s")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--dataset", default="glyphs")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--plain-candidates", type=int, default=10, help="that one at a time makes a repetition")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    use_threads(options.threads)
    architecture = get_architecture(options.architecture)
    dataset = load_dataset(options.dataset, data_root=options.data_root, train_images=3000)
    dataset = dataset.fit(dataset.channels, architecture.image_size)
    activation = "relu" if options.architecture == "resnet18" else "tanh"
    target = Target.new(dataset, architecture.name, options.width, activation, 288, train_images=3000)
    torch.manual_seed(0)
    sane = Sane(PRESETS["tiny"], 288, tuple((target.tokenizer.positions.max(0).values + 1).tolist()), {})
    latents = sane.encode(target.tokenizer, target.new_models(5, seed=0))
    training = images_of(target.row, "train", options.data_root)
    shown = images_of(target.row, "test", options.data_root).first(options.images)
    works = {"one at a time": (one_at_a_time, options.plain_candidates), "at once": (at_once, options.candidates)}
    rows: dict[str, list[Times]] = {name: [] for name in works}
    found: dict[str, Tensor] = {}
    for repeat in range(options.repeats + 1):
        for name, (work, count) in works.items():
            found[name], taken = work(sane, target, latents, count, training, shown, options.passes, options.device)
            if repeat:  # the first one compiles, and fills caches
                rows[name].append({stage: seconds / count for stage, seconds in taken.items()})
    print(
        f"{options.architecture} ×{options.width:g}, {options.dataset}, {len(shown.labels)} images, "
        f"{options.candidates} candidates, {options.threads} threads, {options.device}"
    )
    plain = statistics.median(sum(row.values()) for row in rows["one at a time"])
    for name, taken in rows.items():
        median = statistics.median(sum(row.values()) for row in taken)
        stages = "   ".join(f"{stage} {1e3 * statistics.median(row[stage] for row in taken):7.2f}" for stage in STAGES)
        print(f"{name:14} {1 / median:8.1f} candidates/s   ratio {plain / median:5.2f}   ms each: {stages}")


if __name__ == "__main__":
    main()
