"""What a configuration may not be, whichever method it is of."""

from __future__ import annotations

from typing import Any

import pytest

from zoo_generation.errors import InputError
from zoobench.methods.registry import get_method

REFUSED: list[tuple[str, str, Any, str]] = [
    *((name, "weight_decay", -1, "take 0 or more") for name in ("weight_flow", "nfn", "sane_diffusion")),
    *((name, "learning_rate", float("nan"), "take a number above 0") for name in ("p_diff", "neural_graph")),
    *((name, "width", 1, "take 2 or more") for name in ("weight_flow", "p_diff", "d2nwg", "d2nwg_lite")),
    *((name, "width", 0, "take 1 or more") for name in ("neural_graph", "probegen", "nfn", "hyper_representation")),
    *((name, "around", 1, "take 0 or more, and less") for name in ("weight_flow", "p_diff", "sane_diffusion")),
    *((name, "sampling_steps", 1001, "take 1 to 1000") for name in ("p_diff", "d2nwg")),
    ("weight_flow", "clip", 0, "take a number above 0"),
    ("probegen", "probes", 0, "take 1 or more"),
    ("random_probes", "probes", 0, "take 1 or more"),
    ("probegen", "layers", 0, "take 1 or more"),
    ("probegen", "batch_size", 1, "take 2 or more"),
    ("probegen", "dropout", 1, "less than 1"),
    ("nfn", "channels", (), "one or more numbers, each 1 or more"),
    ("nfn", "channels", (8, 0), "one or more numbers, each 1 or more"),
    ("neural_graph", "rounds", -1, "take 0 or more"),
    ("hyper_representation", "permutations", -3, "take 0 or more"),
    ("hyper_representation", "layers", 0, "take 1 or more"),
    ("hyper_representation", "temperature", 0, "take a number above 0"),
    ("hyper_representation", "gamma", 1.5, "take 0 to 1"),
    ("d2nwg", "temperature", 0, "take a number above 0"),
    ("sane_diffusion", "heads", 0, "take 1 or more"),
    ("sane_diffusion", "width", 2, "take 4 or more"),
    ("sane_diffusion", "width", 130, "an even number that 4 'heads' divide equally"),
]


@pytest.mark.parametrize(("name", "setting", "value", "words"), REFUSED)
def test_a_setting_that_cannot_be_is_refused_by_its_name(name: str, setting: str, value: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"'{setting}' is .*; .*{words}"):
        get_method(name).config(None, {setting: value})
