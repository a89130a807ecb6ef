"""Time tokenizing and detokenizing populations: one gather through an index, against a loop over layers.

    python benchmarks/speed/tokens.py --models 1000

The loop is the published rule written down plainly, one model at a time; both give the same tokens, which is checked.
Prints the median of alternated repetitions, in milliseconds a model, and the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from zoo_generation.architectures import Layout, get_architecture
from zoobench.tokens import Tokenizer


def tokenize_by_layer(state: dict[str, Tensor], size: int) -> Tensor:
    """Tokens [tokens, size] of one state dict."""
    pieces = []
    for name, weight in state.items():
        if "weight" not in name:
            continue
        rows = weight.reshape(weight.shape[0], -1)
        bias = state.get(name.replace("weight", "bias"))
        if bias is not None:
            rows = torch.cat([rows, bias[:, None]], dim=1)
        rows = torch.nn.functional.pad(rows, (0, -rows.shape[1] % size))
        pieces.append(rows.reshape(-1, size))
    return torch.cat(pieces)


def detokenize_by_layer(tokens: Tensor, layout: Layout) -> dict[str, Tensor]:
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


def compare(name: str, models: int, repeats: int, first: Callable[[], object], second: Callable[[], object]) -> None:
    """Alternate the two and print medians."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for work, taken in zip((first, second), times, strict=True):
            started = time.perf_counter()
            work()
            taken.append((time.perf_counter() - started) / models * 1e3)
    ours, plain = map(statistics.median, times)
    print(f"{name:32} index {ours:9.4f} ms   layer by layer {plain:9.4f} ms   ratio {plain / ours:6.1f}")


def main() -> None:
    """Read the options, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    for architecture, width, models in (("cnn_s", 1.0, arguments.models), ("resnet18", 0.25, 20)):
        layout = get_architecture(architecture).layout(3, 10, width)
        tokenizer = Tokenizer.of(layout, 288)
        weights = torch.randn(models, layout.size)
        states = [layout.unflatten(flat) for flat in weights]
        tokens = tokenizer.tokens(weights)
        assert all(torch.equal(tokenize_by_layer(state, 288), each) for state, each in zip(states, tokens, strict=True))
        compare(
            f"{architecture} ×{width:g}, tokenize",
            models,
            arguments.repeats,
            lambda t=tokenizer, w=weights: t.tokens(w),
            lambda s=states: [tokenize_by_layer(state, 288) for state in s],
        )
        compare(
            f"{architecture} ×{width:g}, detokenize",
            models,
            arguments.repeats,
            lambda t=tokenizer, w=tokens: t.weights(w),
            lambda w=tokens, o=layout: [detokenize_by_layer(each, o) for each in w],
        )


if __name__ == "__main__":
    main()
