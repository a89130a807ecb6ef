"""Which device things are computed on."""

from __future__ import annotations

import torch

from zoo_generation.errors import InputError, unknown

DEVICES = ("auto", "cpu", "cuda")


def chosen_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one. Raises `InputError` where there is none such."""
    if name not in DEVICES:
        raise unknown("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no GPU that PyTorch can use here; choose --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
