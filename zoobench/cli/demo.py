"""`zoobench demo`: the whole job on bundled data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

DEMO_ZOOS: dict[str, dict[str, Any]] = {
    "demo-cnn_s": {"architectures": ["cnn_s"], "learning_rate": [0.001, 0.003], "seeds": 8, "epochs": 6},
    "demo-resnet18": {
        "architectures": ["resnet18"],
        "width": [0.0625],
        "image_size": 16,
        "activation": ["relu"],
        "learning_rate": [0.003, 0.01],
        "batch_size": [64],
        "seeds": 5,
        "epochs": 3,
    },
}
SANE_STEPS = 200
DRAWN = 50


def demo(
    home: Annotated[Path, typer.Option(help="Folder that everything is written to.")] = Path("zoobench-demo"),
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.", show_default="all cores")] = None,
) -> None:
    """Build zoos on bundled images, train SANE on all of them, evaluate, rank: minutes, and no network."""
    from zoo_generation.training.cluster import ray_session
    from zoo_generation.training.spec import make_spec
    from zoobench.cli.console import console, shown_progress
    from zoobench.cli.evaluating import evaluate
    from zoobench.methods.registry import get_method
    from zoobench.methods.sane import PRESETS
    from zoobench.tasks.generation import Generation
    from zoobench.zoo.building import build_zoo
    from zoobench.zoo.workspace import Workspace

    protocol = Generation(drawn=DRAWN)
    zoos = []
    workspace = Workspace(home, workers=workers)
    with ray_session(None, workers), shown_progress() as progress:
        for name, values in DEMO_ZOOS.items():
            spec = make_spec({"name": name, "datasets": ["digits", "glyphs"], "train_images": 2000} | values)
            zoos.append(build_zoo(spec, workspace.zoos / name, workspace, progress))
    evaluate(zoos, get_method("sane"), replace(PRESETS["tiny"], steps=SANE_STEPS), range(2), home, None, protocol)
    console.print(f"Done. Look at {home}/results, and go on with 'zoobench build-zoo --help'.")
