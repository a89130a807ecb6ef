"""Hostile files in a folder that is imported: nothing in them is run, nothing outside is read, memory is bounded."""

from __future__ import annotations

import io
import json
import os
import pickle
import pickletools
import socket
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from zoo.test_import import EPOCHS, network, take, write_folders, write_trial

from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.state import read_state

STATE = {name: tensor for name, tensor in network().items() if tensor.is_floating_point()}
WATCHED: list[str] = []
"""What happened while a file was read: no more than the interpreter tells its auditors."""
watching = False
EVENTS = {"import", "exec", "compile", "os", "subprocess", "shutil", "socket", "marshal"}
others: set[int] = set()
"""Threads that ran before, as those of a Ray that other tests started."""


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if watching and event.split(".")[0] in EVENTS and threading.get_ident() not in others:
        WATCHED.append(f"{event} {arguments!r:.100}")


sys.addaudithook(audit)
"".encode("cp437")  # which zipfile imports for names, once


@contextmanager
def nothing_runs() -> Iterator[None]:
    global watching, others
    WATCHED.clear()
    others = {*sys._current_frames()} - {threading.get_ident()}
    watching = True
    try:
        yield
    finally:
        watching = False
    assert WATCHED == []


class Calls:
    """Pickled, it calls a function when it is unpickled without care."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **state: Any) -> None:
        self.reduced = (function, arguments, *([state] if state else []))

    def __reduce__(self) -> Any:
        return self.reduced


def calls(place: Path) -> dict[str, Any]:
    """Each would leave a file or a folder at the place."""
    code = f"open({str(place)!r}, 'w')"
    return {
        "os": Calls(os.mkdir, str(place)),
        "system": Calls(os.system, f"touch {place}"),
        "subprocess": Calls(subprocess.check_output, ["touch", str(place)]),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
        "import": Calls(__import__, "antigravity"),
        "touch": Calls(Path.touch, place),
        "open": Calls(io.open, str(place), "w"),
        "torch": Calls(torch.load, str(place)),
        "save": Calls(torch.save, 3, str(place)),
        "loads": Calls(pickle.loads, pickle.dumps(Calls(os.mkdir, str(place)))),
    }


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", calls(Path()))
def test_nothing_in_a_file_is_called(name: str, protocol: int, tmp_path: Path) -> None:
    """Wherever it stands. If the weights come in nonetheless, they are as they were."""
    made, ran = tmp_path / "file", tmp_path / "ran"
    evil = calls(ran)[name]
    for content in ({"state_dict": STATE, "args": evil}, {"args": evil, "state_dict": STATE}, {**STATE, "more": evil}):
        for zipped in (True, False):
            torch.save(content, made, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
            with nothing_runs():
                found = read_or_none(made)
            assert found is None or all(torch.equal(found[key], tensor) for key, tensor in STATE.items())
    assert not ran.exists()


def read_or_none(file: Path) -> dict[str, torch.Tensor] | None:
    try:
        return read_state(file).tensors
    except RejectedError as error:
        assert "\n" not in str(error) and len(str(error)) < 400
        return None


OPCODES = [each for each in pickletools.opcodes if each.arg is None] + [
    each for each in pickletools.opcodes if each.name in ("BINPUT", "BINGET", "BININT1", "PROTO", "EXT1")
]
NAMES = [b"os\nsystem\n", b"builtins\nexec\n", b"torch._utils\n_rebuild_tensor_v2\n", b"collections\nOrderedDict\n"]
NAMES += [b"torch\nFloatStorage\n", b"torch.nn.parameter\nParameter\n", b"torch\nSize\n", b"__main__\n__dict__.a\n"]
PIECES = (
    st.sampled_from([each.code.encode("latin1") + b"\x01" * (each.arg is not None) for each in OPCODES])
    | st.sampled_from([b"c" + name for name in NAMES])
    | st.sampled_from([b"X\x07\x00\x00\x00storage", b"X\x01\x00\x00\x000", b"K\x03", b"\x85", b"\x86", b"\x87", b")"])
)


@settings(max_examples=300)
@given(pieces=st.lists(PIECES, max_size=40))
def test_any_pickle_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.pt"
    put(file, b"\x80\x02" + b"".join(pieces) + b".", {"data/0": bytes(12)})
    with nothing_runs():
        read_or_none(file)


def put(file: Path, pickled: bytes, records: dict[str, bytes] | None = None) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        for name, content in (records or {}).items():
            archive.writestr(f"a/{name}", content)


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x03tQ"
STORED = b"(" + STORAGE + b"K\x00K\x03\x85K\x01\x85\x89Nt"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\nq\x00" + STORED + b"Rq\x02"


def entries(count: int) -> bytes:
    names = (f"layers.{number}".encode() for number in range(count))
    put_in = (b"X" + struct.pack("<I", len(name)) + name + b"h\x02" for name in names)
    return TENSOR + b"0}(" + b"".join(put_in) + b"u"


NEGATIVE = b"\x8b" + struct.pack("<I", 10**7) + bytes(10**7 - 1) + b"\x80q\x05"
"""A number of ten megabytes."""

GROWING: dict[str, bytes] = {
    "sets of 200 bytes from one each": b"\x8f" * 21_000_000,
    "tensors from a few bytes each": TENSOR + b"0](" + (b"h\x00" + STORED + b"R") * 10_000 + b"e",
    "one list copied again and again": b"]q\x00(" + b"X\x01\x00\x00\x00aK\x01\x86" * 30_000 + b"e"
    b"ccollections\nOrderedDict\nq\x01" + b"h\x01h\x00\x85R" * 100_000,
    "a memo at an index of billions": b"}r\xff\xff\xff\xff",
    "a text of exabytes": b"\x8e" + struct.pack("<Q", 2**62),
    "bytes of a number": b"cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x10\x85R",
    "nested without end": b")" + b"\x85" * 100_000,
    "nested as a key": b"})" + b"\x85" * 100_000 + b"Ns",
    "in itself": b"}q\x00X\x01\x00\x00\x00ah\x00s",
    "a name of megabytes asked for again and again": b"X"
    + struct.pack("<I", 10**7)
    + b"a" * 10**7
    + b"q\x000h\x00h\x00\x93" * 100_000,
    "a list without end as a name": b"]q\x00" + b"]q\x01(h\x00h\x00eq\x00" * 60 + b"h\x00\x93",
    "a key that hashes without end": b")q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"}h\x00Ns",
    "arguments copied again and again": b"ctorch._utils\n_rebuild_tensor_v2\nq\x00("
    + b"N" * 300_000
    + b"tq\x01"
    + b"h\x00h\x01R0" * 100_000,
    "a storage asked for again and again": b"(" + b"N" * 300_000 + b"tq\x01" + b"h\x01Q0" * 100_000,
    "more entries than any network": entries(110_000),
    "calls in calls, asked for again and again": b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00ca\nb\nN)\x87"
    + b"q\x01h\x00Nh\x01\x87" * 800
    + b"q\x01"
    + b"h\x00h\x01R0" * 100_000,
    "a key of megabytes in mapping after mapping": b"X"
    + struct.pack("<I", 10**7)
    + b"a" * 10**7
    + b"q\x00}("
    + b"".join(b"M" + struct.pack("<H", number) + b"}h\x00Ns" for number in range(60_000))
    + b"u",
    "a number of megabytes as a key": NEGATIVE + b"}(" + b"h\x05N" * 100_000 + b"u",
    "numbers of megabytes as sizes": NEGATIVE
    + TENSOR.replace(b"K\x03\x85", b"(" + b"h\x05" * 60 + b"t")
    + b"0}X\x01\x00\x00\x00ah\x02s",
}


def claims(file: Path) -> None:
    """Gigabytes that are on no disk."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}}).encode()
    with file.open("wb") as opened:
        opened.write(struct.pack("<Q", len(header)) + header)
        opened.truncate(8 + len(header) + 4 * 10**10)


def grown(file: Path) -> None:
    """Gigabytes that are on no disk."""
    with file.open("wb") as opened:
        opened.truncate(10**10)


def many_records(file: Path) -> None:
    """A list of a million records, which is all that it takes."""
    record = struct.pack("<4s6H3I5H2I", b"PK\1\2", *[0] * 6, *[0] * 3, 1, *[0] * 6) + b"a"
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(record) * 10**6, 4, 0)
    file.write_bytes(b"PK\3\4" + record * 10**6 + end)


def bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10**8))


FILES: dict[str, Callable[[Path], object]] = {
    "claims.safetensors": claims,
    "many_records.pt": many_records,
    "bomb.pt": bomb,
    "expanded.pt": lambda file: torch.save({"a": torch.zeros(1).expand(10**10)}, file),
    "zeros.pt": lambda file: grown(file),
    "meta.pt": lambda file: torch.save({"a": torch.zeros(10**10, device="meta")}, file),
}

CHILD = """
import resource, sys
from pathlib import Path
from zoobench.zoo.importers.state import read_state
from zoobench.zoo.importers.files import RejectedError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = peak()
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_state(file)
        print("came in:", file.name)
    except RejectedError as error:
        assert len(str(error)) < 400
print(peak() - before)
"""


@pytest.mark.faults
def test_memory_is_bounded(tmp_path: Path) -> None:
    """Each of these would take gigabytes, or the process's life, if it were believed. None of them comes in."""
    for number, content in enumerate(GROWING.values()):
        put(tmp_path / f"{number}.pt", b"\x80\x02" + content + b".", {"data/0": bytes(12)})
    for name, make in FILES.items():
        make(tmp_path / name)
    done = subprocess.run([sys.executable, "-c", CHILD, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *came_in, grown = done.stdout.splitlines()
    assert came_in == [] and int(grown) < 600, done.stdout  # MiB


@pytest.mark.parametrize("name", ["a.pt", "b.safetensors"])
def test_names_of_entries_may_be_anything(name: str, tmp_path: Path) -> None:
    odd = ["9" * 9999 + ".weight", "\x1b[2J\n.weight", "../../up", "", ".", "a..b", "\u202e", "x" * 100_000, "1.2.3"]
    write_trial(tmp_path / "models" / "trial", 0)
    state = {key: torch.ones(3) for key in odd}
    last = tmp_path / "models" / "trial" / f"checkpoint_{EPOCHS[-1]:06d}" / "checkpoints"
    (torch.save if name == "a.pt" else save_file)(STATE | state, last)
    result, _ = take(tmp_path / "models", tmp_path / "zoo")
    told = [fault.reason for fault in (*result.faults, *getattr(result, "notes", ()))]
    assert result.checkpoints == 3 and sum("came in without" in reason for reason in told) == 1


SECRET = "a-secret-of-this-machine"
Harm = Callable[[Path, Path], object]


def linked(name: str) -> Harm:
    """The file is a link to one like it that lies outside the folder."""

    def harm(trial: Path, outside: Path) -> None:
        (trial / name).rename(outside / "moved")
        (trial / name).symlink_to(outside / "moved")

    return harm


def linked_whole(trial: Path, outside: Path) -> None:
    trial.rename(outside / "moved")
    trial.symlink_to(outside / "moved")


def becomes(name: str, make: Callable[[Path], object]) -> Harm:
    def harm(trial: Path, outside: Path) -> None:
        (trial / name).unlink()
        make(trial / name)

    return harm


def bound(file: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(os.path.relpath(file))  # whose names may not be long


CHECKPOINT = f"checkpoint_{EPOCHS[-1]:06d}"
OUT = ["params.json", "result.json", f"{CHECKPOINT}/checkpoints", CHECKPOINT]
HARMS: dict[str, Harm] = (
    {f"{name} linked": linked(name) for name in OUT}
    | {"linked": linked_whole}
    | {f"{name} as a pipe": becomes(name, os.mkfifo) for name in OUT[:3]}
    | {f"{name} as a folder": becomes(name, Path.mkdir) for name in OUT[:3]}
    | {f"{name} as a socket": becomes(name, bound) for name in OUT[:3]}
    | {f"{name} of gigabytes": becomes(name, grown) for name in OUT[:3]}
    | {f"{name} as a device": becomes(name, lambda file: file.symlink_to("/dev/zero")) for name in OUT[:3]}
    | {f"{name} in a circle": becomes(name, lambda file: file.symlink_to(file)) for name in OUT[:3]}
)


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, harm in enumerate(HARMS.values()):
            trial = write_trial(folder / "models" / f"trial{number:02d}", number)
            params = json.loads((trial / "params.json").read_text())
            (trial / "params.json").write_text(json.dumps(params | {"note": SECRET}))
            (folder / f"outside{number}").mkdir()
            harm(trial, folder / f"outside{number}")
        write_trial(folder / "models" / "sound", 99)
    return take(folder / "models", folder / "zoo"), folder


@pytest.mark.parametrize("number", range(len(HARMS)), ids=HARMS)
def test_files_that_are_none_are_left_out_and_told(harmed: Any, number: int) -> None:
    (result, zoo), _ = harmed
    told = [fault for fault in result.faults if fault.model == f"trial{number:02d}"]
    came_in = zoo.checkpoints[zoo.checkpoints["source"].str.contains(f'"trial{number:02d}"')]
    assert len(told) >= 1 and all("\n" not in fault.reason for fault in told)
    assert len(came_in) == (2 if CHECKPOINT in list(HARMS)[number] else 0), told
    if "linked" in list(HARMS)[number]:
        assert "leads out of the folder" in told[0].reason
        assert SECRET not in "".join(came_in["source"]) or "params" not in list(HARMS)[number]


def test_links_that_stay_in_the_folder_are_followed(tmp_path: Path) -> None:
    """Files that models share, and a folder that is named through a link itself."""
    models = tmp_path / "models"
    one, other = write_trial(models / "one", 0), write_trial(models / "other", 1)
    (other / "params.json").unlink()
    (other / "params.json").symlink_to("../one/params.json")
    (other / CHECKPOINT / "checkpoints").unlink()
    (other / CHECKPOINT / "checkpoints").symlink_to(one / CHECKPOINT / "checkpoints")
    (tmp_path / "link").symlink_to(models)
    result, _ = take(tmp_path / "link", tmp_path / "zoo")
    assert (result.models, result.checkpoints, result.faults) == (2, 6, ())


@pytest.mark.parametrize("name", ["config.json", "checkpoint-2/model.safetensors", "checkpoint-2/metrics.json"])
def test_folders_of_safetensors_do_not_lead_out_either(name: str, tmp_path: Path) -> None:
    write_folders(tmp_path / "models")
    file = tmp_path / "models" / "several" / name
    file.rename(tmp_path / "moved")
    file.symlink_to(tmp_path / "moved")
    result, zoo = take(tmp_path / "models", tmp_path / "zoo")
    assert any("leads out of the folder" in fault.reason for fault in result.faults)
    assert zoo.checkpoints["test_loss"].count() == (1 if name.endswith("safetensors") else 0 if "config" in name else 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    trials = [write_trial(tmp_path / "models" / name, number) for number, name in enumerate("abcd")]
    closed = [trials[0], trials[1] / "params.json", trials[2] / CHECKPOINT]
    for place in closed:
        place.chmod(0)
    try:
        result, _ = take(tmp_path / "models", tmp_path / "zoo")
    finally:
        for place in closed:
            place.chmod(0o700)
    assert (result.models, result.checkpoints) == (2, 5)
    assert ["Permission denied" in fault.reason for fault in result.faults] == [True] * 3


def test_more_results_than_any_training_has_are_told(tmp_path: Path) -> None:
    trial = write_trial(tmp_path / "models" / "trial", 0)
    write_trial(tmp_path / "models" / "sound", 1)
    (trial / "result.json").write_text(f"[{'0,' * 100_000}0]")
    result, _ = take(tmp_path / "models", tmp_path / "zoo")
    assert result.models == 1 and [fault.reason for fault in result.faults] == [
        "its result.json has 100,001 rows, but may have at most 100,000"
    ]
