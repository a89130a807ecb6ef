"""How a class is written, as a digest: what is kept of a method or task is made again when its author edits it."""

from __future__ import annotations

import contextlib
import dis
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any


def digest_of(kind: type) -> str:
    """The SHA-256 of how a class is written, "" for a class of zoobench, whose versions say that.

    Of a class in a file, that of the file. Of one that was typed into a notebook or a script, that of its code and of
    all that it uses there; it is the same in every process.

    >>> digest_of(dict) == digest_of(dict), digest_of(type("Mine", (), {"__module__": "zoobench.mine"}))
    (True, '')
    """
    name = kind.__module__
    if name.partition(".")[0] == "zoobench":
        return ""
    file = None if name == "__main__" else getattr(sys.modules.get(name), "__file__", None)
    text = Path(file).read_bytes() if file else "\n".join(_code_of(kind, name, set())).encode()
    return hashlib.sha256(text).hexdigest()


def _code_of(thing: Any, module: str, seen: set[int]) -> Iterator[str]:
    """What a function or class of a module does, as text: its code, and that of all that it uses of the module.

    No line numbers, names of files or addresses, and no order of sets, so that it stays the same from run to run.
    """
    if isinstance(thing, str | bytes | int | float | complex | None):
        yield repr(thing)
    elif id(thing) in seen:
        return
    elif isinstance(thing, CodeType):
        yield repr((thing.co_code.hex(), thing.co_names, thing.co_varnames))
        for each in thing.co_consts:
            yield from _code_of(each, module, seen)
    elif isinstance(thing, type | FunctionType):
        seen.add(id(thing))
        yield thing.__qualname__
        for each in _parts_of(thing) if thing.__module__ == module else ():
            yield from _code_of(each, module, seen)
    elif isinstance(thing, tuple | list):
        seen.add(id(thing))
        for each in thing:
            yield from _code_of(each, module, seen)
    elif isinstance(thing, set | frozenset):
        yield repr(sorted(map(repr, thing)))
    elif isinstance(thing, dict):
        yield from _code_of([*thing.items()], module, seen)
    else:
        inside = ("__func__", "fget", "fset", "func", "__wrapped__")  # of class methods, properties and the like
        for each in (getattr(thing, name, None) for name in inside):
            if isinstance(each, FunctionType):
                yield from _code_of(each, module, seen)


def _parts_of(thing: Any) -> Iterator[Any]:
    """What a class is made of, but for what Python notes of it; the code of a function, and the values that it sees."""
    if isinstance(thing, type):
        yield from thing.__bases__
        for name, each in sorted(vars(thing).items()):
            if not name.startswith("__") or isinstance(each, FunctionType | classmethod | staticmethod):
                yield from (name, each)
        return
    yield from (thing.__code__, thing.__defaults__, thing.__kwdefaults__)
    for cell in thing.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is empty, if its function is being defined
            yield cell.cell_contents
    for name in sorted(_globals_of(thing.__code__)):
        if name in thing.__globals__:
            yield from (name, thing.__globals__[name])


def _globals_of(code: CodeType) -> set[str]:
    """Names that code reads of its module; an attribute of the same name is none of them."""
    inner = (_globals_of(each) for each in code.co_consts if isinstance(each, CodeType))
    return {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}.union(*inner)
