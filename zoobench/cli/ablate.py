"""`zoobench ablate`: how the composition of what is trained on changes what is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoobench.cli.options import (
    LARGEST_SEED,
    MOST_SEEDS,
    CpusPerJob,
    DataRoot,
    Device,
    GpusPerJob,
    Home,
    RayAddress,
    Workers,
)

EXAMPLES = """
Examples:

  zoobench ablate benchmarks/compositions/smoke.yaml

  zoobench ablate benchmarks/compositions/small.yaml --data-root data --dry-run

  zoobench ablate my-study.yaml --seeds 5 --ray-address auto --gpus-per-job 0.5 --home /shared/bench
"""


def ablate(
    study: Annotated[Path, typer.Argument(help="A YAML file: zoos, compositions, methods, targets, tasks.")],
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_SEEDS, help="Seeds to train and sample with.", show_default="the study's"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="The first of them.", show_default="the study's")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done, and its cost.")] = False,
    data_root: DataRoot = None,
    home: Home = Path(),
    workers: Workers = None,
    ray_address: RayAddress = None,
    device: Device = "auto",
    cpus_per_job: CpusPerJob = 1,
    gpus_per_job: GpusPerJob = None,
) -> None:
    """Build zoos, train methods on every composition of them, measure each on every target, and report.

    The same command again makes only what is missing: after an interrupt, a failure, or with more seeds. What is made
    is kept by content under runs/, and used again by other studies. On a cluster, all nodes must see --home.
    """
    from zoobench.cli.ablating import ablate as ablate_study
    from zoobench.cli.ablating import show_plan
    from zoobench.studies.study import read_study

    changes = {name: value for name, value in (("seeds", seeds), ("seed", seed)) if value is not None}
    asked = read_study(study, changes)
    if dry_run:
        show_plan(asked, home)
        return
    from zoo_generation.training.cluster import Resources
    from zoobench.cli.studying import Place

    place = Place(home, data_root, workers, ray_address, Resources.of(device, cpus_per_job, gpus_per_job))
    failed = ablate_study(asked, place)
    raise typer.Exit(1 if failed else 0)
