"""`zoobench demo`: the whole job on bundled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

DEMO_ZOOS: dict[str, dict[str, Any]] = {
    "demo-cnn_s": {"datasets": ["digits", "glyphs"], "architectures": ["cnn_s"], "seeds": 12, "epochs": 6},
    "demo-resnet18": {
        "datasets": ["digits", "glyphs"],
        "architectures": ["resnet18"],
        "width": [0.0625],
        "image_size": 16,
        "activation": ["relu"],
        "batch_size": [64],
        "seeds": 6,
        "epochs": 3,
    },
}
SANE_STEPS = 300


def demo(
    home: Annotated[Path, typer.Option(help="Folder that everything is written to.")] = Path("zoobench-demo"),
    workers: Annotated[int | None, typer.Option(help="Worker processes. [default: all cores]")] = None,
) -> None:
    """Build zoos on bundled images, train SANE on all of them, evaluate, rank: minutes, and no network."""
    from zoo_generation.spec import make_spec
    from zoobench.cli.building import build
    from zoobench.cli.console import console
    from zoobench.cli.evaluating import evaluate
    from zoobench.cli.leaderboard import show
    from zoobench.methods.registry import get_method
    from zoobench.methods.sane import PRESETS

    zoos = []
    for name, values in DEMO_ZOOS.items():
        spec = make_spec({"name": name, "train_images": 2000} | values)
        zoos.append(build(spec, home / "zoos" / name, workers=workers))
    evaluate(zoos, get_method("sane"), replace(PRESETS["tiny"], steps=SANE_STEPS), range(2), home, None)
    show(None, home)
    console.print(f"Done. Look at [bold]{home}/results[/bold], and go on with 'zoobench build-zoo --help'.")
