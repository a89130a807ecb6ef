"""Read untrusted pickles without running code: a machine that knows numbers, texts, lists, dicts and tensors.

Names in a pickle are never looked up, imported or called. A tensor becomes a `DenseTensor`, which says where its
elements are, and everything else becomes a stand-in, so that an `argparse.Namespace` or a number of NumPy beside the
weights does no harm. The effort is bounded: a step takes at most a few hundred bytes.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from zoobench.zoo.importers.files import RejectedError

BYTES = 32 << 20  # of a pickle, at most
NAME = 500  # letters of what it asks for, at most
ARGUMENTS = 20  # of a call that makes a tensor, at most
STEPS = 1_000_000  # of a pickle, at most; a network's takes about 40 an entry
MOST = 2**62  # integers are below, unless they are left alone: a pickle may hold some of megabytes

STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
}
DTYPES = {str(each): each for each in vars(torch).values() if isinstance(each, torch.dtype)}
DICTS = ("collections.OrderedDict", "collections.defaultdict")
PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
FIRST_OF = {*PARAMETERS, "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer", "torch.Size"}
"""Calls that stand for their first argument."""

KINDS = {"qtensor": "quantised tensor", "meta_tensor_no_storage": "tensor on the device 'meta'"}

RUN_CODE = re.compile(
    r"os|posix|nt|sys|subprocess|shutil|socket|pty|ctypes|importlib|runpy|code|codeop|commands|webbrowser"
    r"|multiprocessing|pdb|timeit"
)
BUILTINS = ("builtins", "__builtin__")
HARMLESS = re.compile(
    r"set|frozenset|dict|list|tuple|object|complex|bytearray|bytes|slice|range|int|float|bool|str|type|getattr"
)
"""The built-in names that honest files ask for."""

LITERALS = frozenset(
    each.name
    for each in pickletools.opcodes
    if each.arg and not each.stack_before and pickletools.anyobject not in each.stack_after and each.stack_after
)
"""Opcodes that put their argument on the stack: numbers, texts and bytes."""
MAKES: dict[str, Callable[[], object]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True, slots=True)
class Named:
    """An import path that a pickle asks for; here it is only a name."""

    path: str


SET = Named("builtins.set")  # all sets: state dicts do not need their items
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "EMPTY_SET": SET}


@dataclass(slots=True)
class StandIn:
    """An object that is not created: its class, its items if it is a mapping, and its state."""

    named: Named
    items: dict[Any, Any] | None = None
    state: object = None


@dataclass(frozen=True, slots=True)
class Storage:
    """Elements in the file: their key, their type, and their number from `start` on."""

    key: str | int
    dtype: torch.dtype
    numel: int
    start: int = 0


@dataclass(frozen=True, slots=True)
class DenseTensor:
    """A dense tensor: where its elements are, without a check that this is possible."""

    storage: Storage
    dtype: torch.dtype
    offset: Any
    shape: Any
    stride: Any


@dataclass(frozen=True, slots=True)
class Odd:
    """A tensor that is not a dense array of elements in the file, such as a sparse one."""

    kind: str


def read_pickle(stream: io.BytesIO, storages: dict[str | int, Storage] | None = None) -> object:
    """The content of the next pickle in the stream: numbers, texts, lists, dicts (with keys that are texts or
    integers), `DenseTensor`, `Odd`, `Named` and `StandIn`. Storages that it refers to are put into `storages` by key.

    Raises `RejectedError` if it asks for anything that runs code, or takes more than `STEPS`, and ValueError, KeyError,
    IndexError, TypeError or AttributeError if it is damaged.
    """
    return _Machine({} if storages is None else storages).run(stream)


class _Machine:
    """Pickle's own: a stack, one below for each mark, and a memo."""

    def __init__(self, storages: dict[str | int, Storage]) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0

    def run(self, stream: io.BytesIO) -> object:
        for opcode, argument, _ in pickletools.genops(stream):
            self._spend(1)
            self._step(opcode.name, argument)
        return self.stack.pop()

    def _spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > STEPS:
            raise RejectedError(
                f"its pickle takes more than {STEPS:,} steps to read: save the state dict alone, with "
                "torch.save(model.state_dict(), file)"
            )

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in MAKES:
            stack.append(MAKES[name]())
        elif name in TUPLES:
            stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
        else:
            match name:
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    self.memo[argument] = stack[-1]
                case "MEMOIZE":
                    self.memo[len(self.memo)] = stack[-1]
                case "GET" | "BINGET" | "LONG_BINGET":
                    stack.append(self.memo[argument])
                case "MARK":
                    self.below.append(stack)
                    self.stack = []
                case "TUPLE" | "LIST" | "DICT" | "FROZENSET" | "INST" | "OBJ" | "POP_MARK":
                    self._from_mark(name, argument)
                case "APPEND" | "ADDITEMS" | "APPENDS" | "SETITEM" | "SETITEMS":
                    self._put(name)
                case "GLOBAL":
                    stack.append(_named(*argument.split(" ", 1)))
                case "STACK_GLOBAL":
                    module, inner = self._popped(2)
                    stack.append(_named(module, inner))
                case "REDUCE" | "NEWOBJ":
                    called, arguments = self._popped(2)
                    stack.append(self._made(called, arguments))
                case "NEWOBJ_EX":
                    called, arguments, _ = self._popped(3)
                    stack.append(self._made(called, arguments))
                case "BUILD":
                    state = stack.pop()
                    if isinstance(stack[-1], StandIn):
                        stack[-1].state = state
                case "BINPERSID":
                    stack.append(self._persistent(stack.pop()))
                case "DUP":
                    stack.append(stack[-1])
                case "POP":
                    stack.pop() if stack else self._unmarked()
                case "PROTO" | "FRAME" | "STOP":
                    pass
                case _:
                    raise ValueError(f"it has the opcode {name}, which no state dict needs")

    def _unmarked(self) -> list[Any]:
        """The items above the last mark."""
        above, self.stack = self.stack, self.below.pop()
        return above

    def _popped(self, count: int) -> list[Any]:
        popped = self.stack[-count:]
        if len(popped) < count:
            raise IndexError("its stack is empty")
        del self.stack[-count:]
        return popped

    def _from_mark(self, name: str, argument: Any) -> None:
        above = self._unmarked()
        match name:
            case "TUPLE":
                self.stack.append(tuple(above))
            case "LIST":
                self.stack.append(above)
            case "DICT":
                made: dict[Any, Any] = {}
                self._set_items(made, above)
                self.stack.append(made)
            case "FROZENSET":
                self.stack.append(SET)
            case "INST":
                self.stack.append(self._made(_named(*argument.split(" ", 1)), tuple(above)))
            case "OBJ":
                self.stack.append(self._made(above[0], tuple(above[1:])))

    def _put(self, name: str) -> None:
        """Put the top items into the object below them; items that fit neither a mapping nor a list are dropped."""
        count = {"APPEND": 1, "SETITEM": 2}.get(name)
        items = self._popped(count) if count else self._unmarked()
        into = self.stack[-1]
        if name.startswith("APPEND") and isinstance(into, list):
            into.extend(items)
        elif name.startswith("SETITEM") and isinstance(into, dict):
            self._set_items(into, items)
        elif name.startswith("SETITEM") and isinstance(into, StandIn):
            into.items = {} if into.items is None else into.items
            self._set_items(into.items, items)

    def _set_items(self, into: dict[Any, Any], items: list[Any]) -> None:
        """Keys are texts or plain integers: others could take forever to hash, and state dicts do not have them.

        A long text costs more steps, because it may be the key of many mappings, and is searched in each.
        """
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str):
                self._spend(len(key) // NAME)
            elif not isinstance(key, int) or not -MOST < key < MOST:
                continue
            into[key] = value

    def _made(self, called: object, arguments: Any) -> object:
        """The result of a call, or a stand-in for it."""
        self._spend(1)  # a call may hold calls, and be asked for again and again
        if not isinstance(called, Named) or not isinstance(arguments, tuple):
            raise RejectedError("its file is a pickle that calls what it has made itself; only tensors are unpickled")
        if called.path in DICTS:
            return self._dict(arguments)
        if len(arguments) > ARGUMENTS:  # which may repeat the same ones
            return StandIn(called)
        function = called.path.removeprefix("torch._utils.").replace("torch.tensor.", "torch._tensor.")
        if function in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            storage, offset, shape, stride, *rest = arguments
            return _place(storage, storage.dtype, offset, shape, stride, rest[2:])
        if function == "_rebuild_tensor_v3":
            storage, offset, shape, stride, _, _, dtype, *rest = arguments
            return _place(storage, _dtype(dtype), offset, shape, stride, rest)
        if called.path in FIRST_OF:
            return arguments[0]
        if function in ("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"):
            return self._made(arguments[0], arguments[2])
        if called.path in ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"):
            return StandIn(arguments[0]) if isinstance(arguments[0], Named) else StandIn(called)
        if called.path.startswith("torch.") and ("rebuild" in called.path or called.path.endswith("Tensor")):
            kind = called.path.rpartition(".")[2].removeprefix("_rebuild_")
            return Odd(KINDS.get(kind, kind.replace("_", " ")))
        return StandIn(called)

    def _persistent(self, asked: Any) -> object:
        """A storage, or, in files before torch 1.6, a class with its source."""
        if not isinstance(asked, tuple) or len(asked) > ARGUMENTS:
            raise ValueError("it asks for something that is not a storage")
        kind, *rest = asked
        if kind == "module":
            return rest[0]
        named, key, _, numel, *view = rest
        dtype = STORAGES.get(named.path.rpartition(".")[2])
        if kind != "storage" or dtype is None or not is_size(numel) or not (isinstance(key, str) or is_size(key)):
            raise ValueError("it asks for something that is not a storage")
        whole = self.storages.setdefault(key, Storage(key, dtype, numel))
        if not view or view[0] is None:
            return Storage(key, dtype, numel)
        _, start, size = view[0]
        if not is_size(start) or not is_size(size):
            raise ValueError("it asks for a part of a storage that cannot be")
        return Storage(whole.key, dtype, size, start)

    def _dict(self, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        """An ordered dict, which old versions of Python make from a list of pairs."""
        made: dict[Any, Any] = {}
        pairs = arguments[-1] if arguments and isinstance(arguments[-1], list) else ()
        self._spend(len(pairs))
        for key, value in pairs:
            self._set_items(made, [key, value])
        return made


def is_size(value: object) -> bool:
    """Whether it can be a number of elements: larger integers would take long to multiply, again and again."""
    return isinstance(value, int) and 0 <= value < MOST


def _named(module: Any, name: Any) -> Named:
    """Check names before anything is made from them: they may be megabytes long, not texts, or asked for often."""
    if not all(isinstance(each, str) and len(each) <= NAME for each in (module, name)):
        raise ValueError("it asks for something by what is not a name")
    path = re.sub(r"[^\w.<>]", "?", f"{module}.{name}")
    if RUN_CODE.fullmatch(module.partition(".")[0]) or (module in BUILTINS and not HARMLESS.fullmatch(name)):
        raise RejectedError(f"its file is a pickle that asks for {path:.100}; only tensors are unpickled")
    return Named(path)


def _dtype(named: Any) -> torch.dtype:
    if named.path not in DTYPES:
        raise ValueError("its tensors are of no known type")
    return DTYPES[named.path]


def _place(
    storage: Any, dtype: torch.dtype, offset: Any, shape: Any, stride: Any, metadata: list[Any]
) -> DenseTensor | Odd:
    if metadata and metadata[0]:
        return Odd("conjugate or negative view")
    if not isinstance(storage, Storage):
        raise ValueError("its tensors have no storage")
    return DenseTensor(storage, dtype, offset, shape, stride)
