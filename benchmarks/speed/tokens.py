"""Time tokens: flat weights to tokens and back, random windows, bytes on disk.

    python benchmarks/speed/tokens.py --batch 1000

Tokens and weights are compared with the published rule written down plainly, a model and a layer at a time; both
give the same, which is checked. The loop makes tokens, mask and positions of each model, as the published tokenizer
does; here mask and positions are made once an architecture. ResNet-18 at full width, of which 1,000 models take
45 GB, is timed in batches of eight. Windows are compared with one pickle a window that holds tokens, mask and
positions, which is how the published code stores them. With `--reference DIR`, a checkout of that code (the folder
that holds the package `mzsane`), its own functions are timed too. Medians of alternated repetitions; bandwidth is
that of what has to be read and written, as a share of what copying a large tensor reaches.

`new` is the same work into memory that is new each time, which the system has to clear and hand over page by page.
`--large GB` writes a token set of so many gigabytes (ResNet-18), and in a process of its own opens it and draws
windows: how long that takes, and how much memory is resident at most.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout, get_architecture
from zoobench.populations import RandomWindows, Tokenizer, TokenSet, Windows, write_token_set
from zoobench.populations.card import SelectionCard
from zoobench.populations.selection import Selection, Stored

WINDOW = 32
State = dict[str, Tensor]


def tokenize_by_layer(state: State, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, mask [tokens, size] and positions [tokens, 3] of one state dict."""
    tokens, masks, positions, first = [], [], [], 0
    layers = [name for name in state if "weight" in name]
    for layer, name in enumerate(layers):
        rows = state[name].reshape(state[name].shape[0], -1)
        bias = state.get(name.replace("weight", "bias"))
        if bias is not None:
            rows = torch.cat([rows, bias[:, None]], dim=1)
        missing = -rows.shape[1] % size
        mask = torch.nn.functional.pad(torch.ones_like(rows), (0, missing))
        rows = torch.nn.functional.pad(rows, (0, missing))
        pieces = rows.shape[1] // size
        channel = torch.arange(len(rows)).repeat_interleave(pieces)
        index = torch.arange(first, first + len(channel))
        tokens.append(rows.reshape(-1, size))
        masks.append(mask.reshape(-1, size).bool())
        positions.append(torch.stack([index, torch.full_like(index, layer), channel], dim=1).int())
        first += len(channel)
    return torch.cat(tokens), torch.cat(masks), torch.cat(positions)


def detokenize_by_layer(tokens: Tensor, layout: Layout) -> State:
    """The tokenized entries of one state dict."""
    state, start, size = {}, 0, tokens.shape[1]
    for entry in layout:
        if "weight" not in entry.name:
            continue
        bias = entry.name.replace("weight", "bias")
        length = entry.numel // entry.shape[0] + (bias in layout)
        count = entry.shape[0] * -(-length // size)
        rows = tokens[start : start + count].reshape(entry.shape[0], -1)[:, :length]
        if bias in layout:
            state[bias] = rows[:, -1].clone()
            rows = rows[:, :-1]
        state[entry.name] = rows.reshape(entry.shape).clone()
        start += count
    return state


def alternate(repeats: int, **work: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each piece of work, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for name in work:
        work[name]()
    for _ in range(repeats):
        for name, each in work.items():
            started = time.perf_counter()
            each()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in times.items()}


def copying() -> float:
    """Bytes a second, read and written, of copying a tensor of 256 MiB."""
    source = torch.rand(2**26)
    target = torch.empty_like(source)
    return 2 * source.nbytes / alternate(7, copy=lambda: target.copy_(source))["copy"]


def tell(what: str, ours: float, others: dict[str, float], moved: float, limit: float) -> None:
    """One line: microseconds an item, the ratio to each of the others, the share of the bandwidth."""
    ratios = "   ".join(f"{name} {taken * 1e6:11.2f} µs, ×{taken / ours:7.1f}" for name, taken in others.items())
    print(f"{what:34} {ours * 1e6:10.2f} µs   {ratios}   bandwidth {moved / ours / limit:4.0%}")


def time_tokens(name: str, batch: int, loops: int, repeats: int, limit: float, reference: object | None) -> None:
    """Tokenize and detokenize a batch; the loop does `loops` of its models."""
    layout = get_architecture(name).layout(3, 10)
    tokenizer = Tokenizer.of(layout, 288)
    weights = torch.randn(batch, layout.size)
    states = [layout.unflatten(flat) for flat in weights[:loops]]
    tokens = tokenizer.tokens(weights)
    for state, each in zip(states[:2], tokens, strict=False):
        made, mask, positions = tokenize_by_layer(state, 288)
        assert torch.equal(made, each)
        assert torch.equal(mask, tokenizer.mask) and torch.equal(positions, tokenizer.positions)
    back = torch.empty_like(weights)
    assert torch.equal(tokenizer.weights(tokens, base=weights, out=back), weights)
    held = sum(block.weight.numel + (block.bias.numel if block.bias else 0) for block in tokenizer.blocks)
    work = {
        "ours": lambda: tokenizer.tokens(weights, out=tokens),
        "new": lambda: tokenizer.tokens(weights),
        "loop": lambda: [tokenize_by_layer(state, 288) for state in states],
    }
    if reference is not None:
        work["reference"] = lambda: [reference.tokenize_checkpoint(states[0], 288, True)]
    taken = alternate(repeats, **work)
    counts = {"ours": batch, "new": batch, "loop": loops, "reference": 1}
    each = {name: seconds / counts[name] for name, seconds in taken.items()}
    others = {name: seconds for name, seconds in each.items() if name != "ours"}
    tell(f"{name}, {batch} models, tokenize", each["ours"], others, 8 * held, limit)
    work = {
        "ours": lambda: tokenizer.weights(tokens, base=weights, out=back),
        "new": lambda: tokenizer.weights(tokens, base=weights),
        "loop": lambda: [detokenize_by_layer(each, layout) for each in tokens[:loops]],
    }
    if reference is not None:
        positions = tokenizer.positions
        work["reference"] = lambda: [reference.tokens_to_checkpoint(tokens[0], positions, states[0], False)]
    taken = alternate(repeats, **work)
    each = {name: seconds / counts[name] for name, seconds in taken.items()}
    others = {name: seconds for name, seconds in each.items() if name != "ours"}
    tell(f"{name}, {batch} models, detokenize", each["ours"], others, 8 * layout.size, limit)


def random_models(tokenizer: Tokenizer, checkpoints: int, weights: Callable[[slice], Tensor]) -> Selection:
    """Checkpoints of one population that are made up."""
    table = pd.DataFrame({"model_id": map(str, range(checkpoints)), "epoch": 1, "split": "train"})
    selection = SelectionCard(zoos=[], statuses=[], first_epoch=1, split_seed=0)
    return Selection(tokenizer.token_size, True, selection, (Stored("made-up", tokenizer, table, weights),))


def time_windows(batch: int, repeats: int, limit: float) -> None:
    """Random windows of a mapped token set, and of a folder of pickles."""
    layout = get_architecture("cnn_s").layout(1, 10)
    tokenizer = Tokenizer.of(layout)
    checkpoints = 4000
    weights = torch.randn(checkpoints, layout.size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens"
        chosen = random_models(tokenizer, checkpoints, lambda rows: weights[rows])
        windows = Windows(write_token_set(path, chosen).populations, WINDOW)
        numbers = list(RandomWindows(windows, batch, repeats + 1))
        pickles = Path(folder) / "pickles"
        pickles.mkdir()
        per_model = -(-len(tokenizer) // WINDOW)  # windows that cover a checkpoint
        drawn = windows[numbers[0]]
        for i in range(batch):
            sample = {"w": drawn.tokens[i].clone(), "m": drawn.mask[i].clone(), "p": drawn.positions[i].clone()}
            torch.save(sample | {"props": torch.zeros(3)}, pickles / f"sample_{i}.pt")
        turn = iter(numbers)

        def unpickled() -> list[Tensor]:
            samples = [torch.load(pickles / f"sample_{i}.pt", weights_only=True) for i in range(batch)]
            return [torch.stack([sample[key] for sample in samples]) for key in "wmp"]

        taken = alternate(repeats, ours=lambda: windows[next(turn)], pickles=unpickled)
        moved = WINDOW * tokenizer.token_size * 9 + WINDOW * 12 + WINDOW * layout.size / len(tokenizer) * 4
        tell(
            f"{batch} windows of {WINDOW} tokens",
            taken["ours"] / batch,
            {"pickles": taken["pickles"] / batch},
            moved,
            limit,
        )
        ours = sum(file.stat().st_size for file in path.iterdir()) / checkpoints
        theirs = (pickles / "sample_0.pt").stat().st_size * per_model
        print(f"bytes on disk a checkpoint: {ours:.0f}, as {per_model} pickles {theirs} (×{theirs / ours:.1f})")


def time_large(gigabytes: float, folder: Path, repeats: int) -> None:
    """A token set that is larger than memory, or nearly."""
    layout = get_architecture("resnet18").layout(3, 10)
    tokenizer = Tokenizer.of(layout, 288)
    weights = torch.randn(layout.size)
    checkpoints = round(gigabytes * 1e9 / (4 * layout.size))
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "tokens"
        chosen = random_models(tokenizer, checkpoints, lambda rows: weights.expand(checkpoints, -1)[rows])
        started = time.perf_counter()
        write_token_set(path, chosen)
        size = sum(file.stat().st_size for file in path.iterdir())
        print(f"written: {size / 1e9:.1f} GB, {checkpoints} checkpoints, in {time.perf_counter() - started:.0f} s")
        process = multiprocessing.get_context("spawn").Process(target=draw_windows, args=(path, repeats))
        process.start()
        process.join()


def draw_windows(path: Path, repeats: int) -> None:
    """Open a token set and draw windows from all over it, in a process that has done nothing else."""
    before = most_resident()
    started = time.perf_counter()
    windows = Windows(TokenSet.read(path).populations, WINDOW)
    print(f"opened in {time.perf_counter() - started:.3f} s")
    times = []
    for numbers in RandomWindows(windows, 256, repeats + 1):
        started = time.perf_counter()
        windows[numbers]
        times.append((time.perf_counter() - started) / len(numbers))
    print(
        f"{repeats * 256} windows of {WINDOW} tokens: {statistics.median(times[1:]) * 1e6:.1f} µs each, "
        f"resident at most {most_resident():.2f} GiB, of which {before:.2f} GiB before it was opened"
    )


def most_resident() -> float:
    """The most memory that this process has had resident, mapped files included, in GiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 2**20


def main() -> None:
    """Read the options, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1000, help="models of cnn_s, and windows, at once")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", type=float, metavar="GB", help="only this: a token set of so many gigabytes")
    parser.add_argument("--folder", type=Path, help="where the large one is written; the system's temporary folder")
    parser.add_argument("--reference", type=Path, help="folder that holds the published package mzsane")
    arguments = parser.parse_args()
    if arguments.large is not None:
        time_large(arguments.large, arguments.folder, 20 * arguments.repeats)
        return
    reference = None
    if arguments.reference is not None:
        sys.path.insert(0, str(arguments.reference))
        reference = importlib.import_module("mzsane.datasets.dataset_auxiliaries")
    limit = copying()
    print(
        f"copying: {limit / 1e9:.1f} GB/s read and written, {torch.get_num_threads()} threads; each time is of one item"
    )
    time_tokens("cnn_s", arguments.batch, min(100, arguments.batch), arguments.repeats, limit, reference)
    time_tokens("resnet18", 8, 4, arguments.repeats, limit, reference)
    time_windows(arguments.batch, arguments.repeats, limit)


if __name__ == "__main__":
    main()
