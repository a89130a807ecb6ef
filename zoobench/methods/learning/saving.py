"""Save a method of tensors and a configuration, and read it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, read_json, write_json
from zoo_generation.networks.architectures import Layout
from zoobench.zoo.schema import entries_of, layout_of

Config = TypeVar("Config")


def save(
    path: Path, method: str, config: Any, layout: Layout, activation: str | None, tensors: Mapping[str, Tensor]
) -> None:
    """Write a new folder, whole or not at all: the tensors as safetensors; as JSON the configuration, a dataclass, and
    layout and activation of the models that were learned."""
    with directory_written_aside(path) as aside:
        save_file({name: each.detach().contiguous() for name, each in tensors.items()}, aside / "learned.safetensors")
        models = {"layout": entries_of(layout), "activation": activation}
        write_json(aside / "config.json", {"method": method, "config": asdict(config)} | models)


def read(path: Path, method: str, config: type[Config]) -> tuple[Config, Layout, str | None, dict[str, Tensor]]:
    """Read what `save` wrote. Raises `InputError` if it is damaged; the caller's own `damaged` says the same."""
    card = read_json(path / "config.json", f"the configuration of the fitted {method}")
    try:
        found = TypeAdapter(config).validate_python(card["config"])
        activation = TypeAdapter(str | None).validate_python(card.get("activation"))  # an older folder has none
        return found, layout_of(card["layout"]), activation, load_file(path / "learned.safetensors")
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise damaged(path, method, error) from None


def damaged(path: Path, method: str, error: Exception) -> InputError:
    """The error to raise if what was read does not fit together."""
    reason = str(error).strip().split("\n")[0]
    return InputError(f"the fitted {method} {path} is damaged ({reason}); fit it again")


def under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with `name.` before each name."""
    return {f"{name}.{each}": value for each, value in tensors.items()}


def taken(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `under`: those whose name begins with `name.`, without it."""
    start = f"{name}."
    return {each.removeprefix(start): value for each, value in tensors.items() if each.startswith(start)}
