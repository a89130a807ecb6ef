"""Find the state dict among the mappings in a checkpoint: under any key, beside others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.pickles import DenseTensor, Odd, StandIn

Entries = dict[str, DenseTensor | Odd]
Path = tuple[str, ...]

KEYS = ("state_dict", "model_state_dict", "model", "model_state", "net", "network", "module", "params", "weights")
"""Keys under which training scripts put the trained weights, the surest first."""
DEPTH = 4
ENTRIES = 100_000  # of a state dict, at most
OPTIMIZER = re.compile(r"(?i)optim|(^|_)(opt|grads?|rng)($|_)|sched|scaler")
MOMENTS = {"param_groups", "exp_avg", "exp_avg_sq", "momentum_buffer", "square_avg"}
"""Keys of an optimizer's state."""
AVERAGE = re.compile(r"(?i)(^|[._])(ema|swa|shadow|averaged?)($|[._])")
"""A key of an average of the weights."""
ARRAY = re.compile(r"numpy\.(_?core\.)*multiarray\._reconstruct|numpy\.ndarray")


def state_dict_in(content: object) -> tuple[Entries, str | None]:
    """The tensors of the state dict in a checkpoint, and a note on others that were left out, if any.

    A single mapping of tensors is taken wherever it is; of several, the one under the first of `KEYS`, preferably the
    weights and not their average; never an optimizer's. Raises `RejectedError` with what was found instead.
    """
    found = dict(_mappings(content, (), set()))
    if not found:
        raise RejectedError(_why_none(content))
    paths = sorted(found, key=lambda path: _rank(path, found[path]))
    best = paths[0]
    if len(paths) > 1 and _rank(best, found[best]) == _rank(paths[1], found[paths[1]]):
        raise RejectedError(
            f"its file holds several mappings of tensors ({_listed(paths)}), and does not say which is the model: "
            "save the state dict alone"
        )
    if len(found[best]) > ENTRIES:
        raise RejectedError(f"its state dict has {len(found[best]):,} entries, but may have at most {ENTRIES:,}")
    left = (
        f"its file also holds {_listed(paths[1:])} beside {_told(best)}; the model came in without"
        if len(paths) > 1
        else None
    )
    return found[best], left


def _mappings(content: object, path: Path, seen: set[int]) -> Iterator[tuple[Path, Entries]]:
    """All mappings of tensors, each once, except an optimizer's."""
    items = _items(content)
    if items is None or id(content) in seen or len(path) > DEPTH:
        return
    seen.add(id(content))
    if not MOMENTS.isdisjoint(items):
        return
    tensors = {str(key): value for key, value in items.items() if isinstance(value, DenseTensor | Odd)}
    if any(not isinstance(value, DenseTensor) or _is_weights(value) for value in tensors.values()):
        yield path, tensors
    for key, value in items.items():
        if not OPTIMIZER.search(str(key)):
            yield from _mappings(value, (*path, str(key)), seen)


def _items(content: object) -> dict[Any, Any] | None:
    if isinstance(content, StandIn):
        return content.items
    return content if isinstance(content, dict) else None


def _is_weights(place: DenseTensor) -> bool:
    """Whether it may be weights, and not a measurement or the state of a generator."""
    return bool(place.shape) and (place.dtype.is_floating_point or place.dtype.is_complex)


def _rank(path: Path, entries: Entries) -> tuple[bool, int, bool, bool]:
    """How sure it is that weights are here, the surest first: names have dots in all but tiny networks."""
    known = KEYS.index(path[-1]) if path and path[-1] in KEYS else len(KEYS)
    return any(AVERAGE.search(key) for key in path), known, not any("." in name for name in entries), bool(path)


def _told(path: Path) -> str:
    return repr(".".join(path))[:60] if path else "the entries at its top"


def _listed(paths: list[Path]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(map(_told, paths[:3])) + more


def _why_none(content: object) -> str:
    if isinstance(content, StandIn):
        state = content.state
        if isinstance(state, dict) and "_parameters" in state:
            what = f"a whole module of class {content.named.path:.60}: save its state_dict() instead"
        else:
            what = f"a {content.named.path:.60}"
        return f"its file holds no state dict, but {what}"
    if not isinstance(content, dict):
        what = "tensor" if isinstance(content, DenseTensor | Odd) else type(content).__name__
        return f"its file holds no state dict, but a {what}"
    if not MOMENTS.isdisjoint(content):
        return "its file holds the state of an optimizer, and no floating-point tensors of a model"
    modules = [key for key, value in content.items() if isinstance(value, StandIn) and "_parameters" in _state(value)]
    if modules:
        return f"its file holds a whole module under {modules[0]!r:.60}: save its state_dict() instead"
    keys = ", ".join(f"{key!r:.40}" for key in list(content)[:6]) + (" and more" if len(content) > 6 else "")
    arrays = any(isinstance(value, StandIn) and ARRAY.match(value.named.path) for value in content.values())
    kind = "NumPy arrays, and no floating-point tensors of PyTorch" if arrays else "no floating-point tensors"
    return f"its file holds {kind}, but a dict of {keys}" if keys else "its file holds an empty dict"


def _state(value: StandIn) -> dict[Any, Any]:
    return value.state if isinstance(value.state, dict) else {}
