"""Settings that people give: YAML files read with bounded effort, fields that are checked, dataclasses changed.

Whatever is in them, one sentence says what is wrong.
"""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode

from zoo_generation.errors import InputError, unknown
from zoo_generation.text import as_given, quoted

LARGEST_FILE = 2**18  # bytes; YAML is read in Python, a second or two for so many
DEEPEST = 32  # lists and mappings within each other
MOST_VALUES = 100_000  # after everything that an alias (*name) stands for is written out
LONGEST_NUMBER = 100  # characters
TEXT = "tag:yaml.org,2002:str"
MERGE = "tag:yaml.org,2002:merge"
PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "timestamp", "str", "seq", "map")}


class PlainLoader(yaml.SafeLoader):
    """YAML of text, numbers, lists and mappings by text, each key once, that stays small when it is written out."""

    yaml_constructors = {  # noqa: RUF012 - as PyYAML has it
        tag: make for tag, make in SafeConstructor.yaml_constructors.items() if tag is None or tag in PLAIN
    }

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._values = 0
        self._sizes: dict[int, int] = {}  # of nodes that are whole

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        before, event = self._values, self.peek_event()
        self._depth += 1
        if self._depth > DEEPEST:
            raise _found(f"more than {DEEPEST} lists within each other", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise _found(f"'*{event.anchor}' stands within itself", event)
            self._values += self._sizes[id(node)]
        else:
            self._values += 1
            self._sizes[id(node)] = self._values - before
        if self._values > MOST_VALUES:
            raise _found(f"more than {MOST_VALUES:,} values", event)
        return node

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag not in (TEXT, MERGE):
                raise _found("a key that is no text; put it in quotes", key)
            if key.value in keys:
                raise _found(f"the key '{quoted(key.value, 60)}' a second time", key)
            keys.add(key.value)
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        if not isinstance(node, ScalarNode) or node.tag == TEXT:
            return super().construct_object(node, deep)
        kind = node.tag.rpartition(":")[2].replace("timestamp", "date")
        try:
            if len(node.value) <= LONGEST_NUMBER:
                return super().construct_object(node, deep)
        except (ValueError, LookupError, ArithmeticError, AttributeError):
            pass
        raise _found(f"'{quoted(node.value, 60)}' is no {kind}", node)


def read_plain(path: Path, what: str) -> bytes:
    """A file's bytes; raises `InputError`, saying `what` it should have been, where it is no plain file, or large."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"the {what} {path} is {'a folder' if path.is_dir() else 'no plain file'}; give a file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read the {what} {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > LARGEST_FILE:
        raise InputError(f"the {what} {path} is larger than {LARGEST_FILE // 1024} KiB, which no {what} is")
    return content


def read_fields(path: Path, what: str, example: str) -> dict[str, Any]:
    """The fields of a YAML file; raises `InputError`, saying `what` it should have been and such as which `example`."""
    try:
        values = yaml.load(read_plain(path, what), Loader=PlainLoader)
    except yaml.YAMLError as error:
        raise InputError(f"the {what} {path} is not YAML that zoobench reads: {_yaml_problem(error)}") from None
    if not isinstance(values, dict):
        raise InputError(f"the {what} {path} must hold fields such as {example}")
    return values


def _found(problem: str, at: Any) -> ConstructorError:
    """What is wrong at a node or an event."""
    return ConstructorError(None, None, problem, at.start_mark)


def _yaml_problem(error: yaml.YAMLError) -> str:
    """What PyYAML found, where, on one line."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return f"{where}{quoted(error.problem or error.context, 200)}"
    return quoted(getattr(error, "reason", None) or error, 200)


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=60)]


def as_tuple(value: Any) -> Any:
    """A list or tuple as a tuple, anything else as a tuple of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]


class Fields(BaseModel):
    """Fields and no others, that do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def sentence(error: ValidationError, label: str = "field", model: type[BaseModel] | None = None) -> str:
    """The first of a validation's errors, see `sentences`."""
    return sentences(error, label, model)[0]


def sentences(error: ValidationError, label: str = "field", model: type[BaseModel] | None = None) -> list[str]:
    """A validation's errors, one sentence each, on one line: the field, what was given, what is allowed.

    label: what to call a field; model: whose fields are suggested for one that is not known.
    """
    return [_sentence(dict(each), label, model) for each in error.errors()]


def _sentence(error: dict[str, Any], label: str, model: type[BaseModel] | None) -> str:
    place = error["loc"]
    while place and isinstance(place[-1], int):  # of a value in a list, the value itself is quoted
        place = place[:-1]
    where = ".".join(quoted(part, 40) for part in place)
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "json_invalid":
        return "it is not JSON"
    if not where:
        return "it is not a JSON object" if error["type"] == "model_type" else reason
    if error["type"] == "missing":
        return f"the {label} '{where}' is missing"
    if error["type"] == "extra_forbidden":
        around = model and _model_at(model, place[:-1])
        return str(unknown(label, where, around.model_fields)) if around else f"the {label} '{where}' is not known"
    return f"the {label} '{where}' was given {as_given(error['input'])}: {reason[:1].lower()}{reason[1:]}"


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model of the value at a place within one; None if there are several, or none."""
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            within = list(_models_in(model.model_fields[part].annotation))
            if len(within) != 1:
                return None
            model = within[0]
    return model


def _models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """The models that a type such as `dict[str, Model]` is made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _models_in(part)


Settings = TypeVar("Settings")

LARGEST = 2**31 - 1  # that a number among settings may be


def changed(settings: Settings, values: Mapping[str, Any], what: str) -> Settings:
    """The settings with `values`, text or numbers, in place of their own.

    Raises `InputError` for a name that they do not have, of `what` kind, and for a value that they cannot take.
    """
    if not values:
        return settings
    fields = [field.name for field in dataclasses.fields(settings)] if dataclasses.is_dataclass(settings) else []
    for name in values:
        if name not in fields:
            raise unknown(what, name, fields)
    own = {name: getattr(settings, name) for name in fields}
    try:
        result = _adapter(type(settings)).validate_python(own | dict(values))  # type: ignore[arg-type]
    except ValidationError as error:
        raise InputError(sentence(error, what)) from None
    for name in values:
        if not _is_finite(getattr(result, name)):
            raise InputError(f"the {what} '{name}' was given {as_given(values[name])}: numbers go to ±{LARGEST:,}")
    return result


def _is_finite(value: Any) -> bool:
    """Whether all numbers in a setting are of a size that can be computed with."""
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, int | float) or -LARGEST <= value <= LARGEST  # which infinity and NaN are not


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Validates settings of a kind; takes a while to make."""
    return TypeAdapter(kind)
