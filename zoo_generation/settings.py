"""Settings that people write: YAML files, fields and `name=value` pairs, checked with bounded effort.

Every error is one sentence.
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

LARGEST_FILE = 2**18  # bytes; reading this takes a second or two
DEEPEST = 32  # levels of nested lists and mappings
MOST_VALUES = 100_000  # counting the values that each alias (*name) stands for
LONGEST_NUMBER = 100  # characters
TEXT = "tag:yaml.org,2002:str"
MERGE = "tag:yaml.org,2002:merge"
PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "timestamp", "str", "seq", "map")}


class PlainLoader(yaml.SafeLoader):
    """Loads plain YAML only: text, numbers, dates, lists, mappings with text keys; bounded in size, each key once."""

    yaml_constructors = {  # noqa: RUF012 - PyYAML wants it here
        tag: make for tag, make in SafeConstructor.yaml_constructors.items() if tag is None or tag in PLAIN
    }

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._values = 0
        self._sizes: dict[int, int] = {}  # of complete nodes, in values

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        before, event = self._values, self.peek_event()
        self._depth += 1
        if self._depth > DEEPEST:
            raise _found(f"more than {DEEPEST} nested lists", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise _found(f"'*{event.anchor}' contains itself", event)
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
                raise _found("a key that is not text; put it in quotes", key)
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
        raise _found(f"'{quoted(node.value, 60)}' is not a valid {kind}", node)


def read_plain(path: Path, what: str) -> bytes:
    """The bytes of a small file. what: what to call it. Raises `InputError` if it is not a plain file, or is large."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"the {what} {path} is {'a folder' if path.is_dir() else 'not a plain file'}; give a file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read the {what} {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > LARGEST_FILE:
        raise InputError(f"the {what} {path} is larger than {LARGEST_FILE // 1024} KiB; no {what} needs that")
    return content


def read_fields(path: Path, what: str, example: str) -> dict[str, Any]:
    """The fields of a YAML file. what: what to call it; example: of such fields. Raises `InputError`."""
    try:
        values = yaml.load(read_plain(path, what), Loader=PlainLoader)
    except yaml.YAMLError as error:
        raise InputError(f"the {what} {path} is not YAML that zoobench reads: {_yaml_problem(error)}") from None
    if not isinstance(values, dict):
        raise InputError(f"the {what} {path} must hold fields such as {example}")
    return values


def _found(problem: str, at: Any) -> ConstructorError:
    """The error to raise for a problem at a node or an event."""
    return ConstructorError(None, None, problem, at.start_mark)


def _yaml_problem(error: yaml.YAMLError) -> str:
    """PyYAML's problem and where it is, on one line."""
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
    """Base of frozen records that refuse fields they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def sentence(error: ValidationError, label: str = "field", model: type[BaseModel] | None = None) -> str:
    """The first of a validation's errors, see `sentences`."""
    return sentences(error, label, model)[0]


def sentences(error: ValidationError, label: str = "field", model: type[BaseModel] | None = None) -> list[str]:
    """A validation's errors, one sentence each, on one line: the field, what was given, what is allowed.

    label: what to call a field; model: whose fields are suggested for an unknown one.
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

LARGEST = 2**31 - 1  # largest number among settings


def changed(settings: Settings, values: Mapping[str, Any], what: str) -> Settings:
    """A copy of settings, a dataclass, in which `values`, text or numbers, replace their own.

    what: what to call a setting. Raises `InputError` for an unknown name, and for a value that a setting cannot take.
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
    """Whether all numbers in a setting are small enough to compute with."""
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, int | float) or -LARGEST <= value <= LARGEST  # false for infinity and NaN


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Validates settings of a kind; slow to make, so kept."""
    return TypeAdapter(kind)
