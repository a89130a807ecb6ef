"""Options that several commands share, and values given as comma-separated lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import zoobench as zb
from zoobench.cli.console import set_json, set_quiet


def option(words: str, default: str | bool = True, *names: str, **more: Any) -> Any:
    """An option of a command. default: how its default is shown, True for as it is; names: None for the parameter's."""
    return typer.Option(*names, help=words, show_default=default, **more)


LARGEST_SEED = 2**32 - 1  # every generator of random numbers takes it

DataRoot = Annotated[
    Path | None,
    option(
        "Folder with image datasets: Hugging Face Parquet exports, torchvision layouts or image folders.",
        envvar="ZOOBENCH_DATA",
    ),
]
Home = Annotated[
    Path, option("Folder of zoos/, models/, runs/, results/ and leaderboards/.", ".", envvar="ZOOBENCH_HOME")
]
UserArchitectures = Annotated[
    str | None,
    option(
        "Your own functions, package.module:function, that build models; comma-separated.", "none", "--architectures"
    ),
]
Zoos = Annotated[str | None, option("Zoo directories or URLs, comma-separated.", "the one built last", "--zoo")]
Statuses = Annotated[str, option("Which models to use, by status; diverged ones are never used.")]
Device = Annotated[str, option("cpu, cuda, or auto: a GPU if there is one.")]
Workers = Annotated[int | None, option("Worker processes of a local Ray.", "all cores", min=1, max=10_000)]
RayAddress = Annotated[str | None, option("A Ray cluster.", "one started here", envvar="RAY_ADDRESS")]
CpusPerJob = Annotated[float, option("Cores per job.")]
GpusPerJob = Annotated[float | None, option("GPUs per job; fractions share one.", "1 if there are any")]
MethodName = Annotated[str, option("The method: see 'zoobench list methods'.", True, "--method", "--model")]
PresetName = Annotated[
    str | None, option("One of the method's configurations, such as tiny or paper.", "its first", "--preset")
]
Settings = Annotated[
    str | None, option("Hyperparameters to change from the preset: name=value, comma-separated.", "none", "--set")
]
Kept = Annotated[
    Path | None, option("Folder of a trained method.", "trained, or kept under runs/", "--from", metavar="DIR")
]
Tracks = Annotated[
    list[str] | None, typer.Argument(help="Tracks by name.", metavar="[TRACK]...", show_default="all two-core tracks")
]
TrackOption = Annotated[str | None, option("Tracks, comma-separated; 'all' are the two-core ones.", True, "--track")]
Seeds = Annotated[
    int | None, option("How many seeds to train and sample with.", "3, or the study's", "--seeds", min=1, max=1000)
]
FirstSeed = Annotated[int | None, option("The first of them.", "0, or the study's", "--seed", min=0, max=LARGEST_SEED)]
Seed = Annotated[int, option("Seed of all randomness; the same seed gives the same result.", min=0, max=LARGEST_SEED)]
Json = Annotated[
    bool, option("Print the result as JSON and nothing else.", False, "--json", callback=set_json, is_eager=True)
]
Quiet = Annotated[bool, option("Print nothing but errors.", False, "--quiet", "-q", callback=set_quiet)]


def examples(*commands: str) -> str:
    """The last part of a command's help: one line per example, each without `zoobench`."""
    return "\n\n  ".join(["Examples:", *(f"zoobench {command}" for command in commands)])


def listed(text: str | None) -> list[str] | None:
    """The values of a comma-separated option; None if it was not given."""
    return None if text is None else [value.strip() for value in text.split(",") if value.strip()]


def assigned(text: str | None) -> dict[str, str]:
    """Names and values of a comma-separated option such as `window=32,steps=100`."""
    return dict(each.partition("=")[::2] for each in listed(text) or [])


def import_listed(architectures: str | None) -> None:
    """Import the architectures, package.module:function, that a comma-separated option names."""
    for name in listed(architectures) or []:
        zb.import_architecture(name)


def opened_zoos(zoos: str | None, home: Path) -> list[zb.Zoo]:
    """The zoos that a comma-separated option names; without it, the one built last."""
    return [zb.load_zoo(path) for path in listed(zoos) or []] or [zb.load_zoo(workspace=zb.Workspace(home))]


def opened(zoos: str | None, home: Path) -> tuple[list[zb.Zoo], str]:
    """The zoos that a comma-separated option names, or the one built last, and what they are called together."""
    found = opened_zoos(zoos, home)
    return found, "+".join(zoo.name for zoo in found)


def chosen_tracks(names: list[str] | None, workspace: zb.Workspace) -> list[str]:
    """Tracks by name; without names, or with `all`, those that two cores can do."""
    given = [each for name in names or [] for each in listed(name) or []]
    if not given or "all" in given:
        return list(zb.list_tracks(scale="two-cores", workspace=workspace))
    return [zb.get_track(name, workspace=workspace).name for name in given]
