"""Entries whose methods can be run again, on zoos that are built anew from another seed: nobody can have seen them."""

from __future__ import annotations

import secrets
import shlex
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.files import read_json, write_json
from zoobench.leaderboard.entry import Entry
from zoobench.leaderboard.running import study_of
from zoobench.leaderboard.track import Track
from zoobench.methods.registry import get_method, method_names
from zoobench.studies.study import MethodChoice, Study

FIRST, LAST = 10**6, 2**31
"""Seeds that are drawn: beyond those of the tracks' own zoos, and with room for each model's."""


def drawn_seed(path: Path) -> int:
    """A seed that nobody can foresee, kept at `path`, so that a run that ended early goes on with it."""
    try:
        kept = read_json(path, "the seed of fresh zoos").get("seed")
    except InputError:  # there is none, or it was cut short: then nothing hangs on it
        kept = None
    if isinstance(kept, int) and FIRST <= kept < LAST:
        return kept
    seed = FIRST + secrets.randbelow(LAST - FIRST)
    write_json(path, {"seed": seed})
    return seed


def method_of(entry: Entry) -> tuple[str, MethodChoice]:
    """The method, and how it is configured, that an entry says it is of, by its command or else by its method's name.

    Raises `InputError` where that is none that is installed here, or it has no such configuration.
    """
    try:
        words = shlex.split(entry.command)
    except ValueError:
        words = []
    if words[:2] == ["zoobench", "eval"]:
        given = _options(words[2:])
        name = given.get("--model", "sane")
        pairs = [each.partition("=") for each in given.get("--set", "").split(",") if each.strip()]
        choice = MethodChoice(preset=given.get("--preset"), set={key.strip(): value for key, _, value in pairs})
    else:
        name, choice = entry.method, MethodChoice()
    if name not in method_names():
        raise InputError(f"no method '{name[:60]}' is installed here")
    get_method(name).config(choice.preset, choice.set)
    return name, choice


def _options(words: list[str]) -> dict[str, str]:
    """Values of options, as `--name value` or `--name=value`."""
    found = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            found[name] = value if equals else following
    return found


def fresh_study(leaderboards: Path, track: Track, method: str, choice: MethodChoice, seed: int) -> Study:
    """The study that measures a method on a track, whose zoos are of the same specs and another first seed."""
    study = study_of(leaderboards, track, method, choice)
    return study.model_copy(update={"zoos": {name: fields | {"seed": seed} for name, fields in study.zoos.items()}})
