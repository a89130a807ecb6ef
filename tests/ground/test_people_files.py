"""Files that people write, and numbers in options: bad ones give one sentence and exit code 2."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import Run
from hypothesis import example, given
from hypothesis import strategies as st

from zoo_generation.errors import InputError
from zoo_generation.settings import DEEPEST, LARGEST_FILE, MOST_VALUES, read_fields
from zoo_generation.training.spec import MOST_CHECKPOINTS, MOST_MODELS, make_spec
from zoobench.leaderboard.track import read_track
from zoobench.studies.study import read_study

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(9 * [f'*{before}'])}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "an integer of 5,000 digits": "seeds: " + "9" * 5000,
    "the same in hexadecimal": "seeds: 0x" + "f" * 5000,
    "minutes without end": "seeds: 1" + ":59" * 3000,
    "no binary number": "seeds: 0b_",
    "no number": "seeds: !!int many",
    "an empty number": 'seeds: !!int ""',
    "no date": "name: 2020-13-45",
    "no date by its tag": "name: !!timestamp soon",
    "no truth": "augment: !!bool perhaps",
    "3,000 lists": "datasets: " + "[" * 3000 + "]" * 3000,
    "3,000 mappings": "datasets: " + "{a: " * 3000 + "}" * 3000,
    "3,000 lists by lines": "\n".join("  " * depth + "-" for depth in range(500)),
    "aliases that grow": BOMB,
    "merges that grow": "a: &a {p: 1}\n"
    + "".join(f"{n}: &{n} {{<<: [{','.join(9 * [f'*{b}'])}]}}\n" for b, n in zip("abcdefgh", "bcdefghi", strict=True)),
    "a list of itself": "a: &a [*a]",
    "a mapping of itself": "a: &a {b: *a}",
    "a merge of itself": "a: &a {<<: *a}",
    "a key twice": "datasets: digits\nseeds: 3\nseeds: 4",
    "a key that is a list": "? [a, b]\n: 1",
    "a key that is nothing": "datasets: {~: 1}",
    "a key that is a number": "per_dataset: {1: {}}",
    "an object": "datasets: !!python/object/apply:os.system ['true']",
    "a set": "datasets: !!set {digits}",
    "bytes": "name: !!binary ZGlnaXRz",
    "two documents": "datasets: digits\n---\ndatasets: mnist",
    "a tab": "datasets:\n\t- digits",
    "a control character": "name: a\x00b",
    "an unknown alias": "datasets: *nobody",
    "large": "# " + "x" * LARGEST_FILE,
    "nothing": "",
    "text": "digits",
    "a list": "- digits",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as told:
        read_fields(path, "spec", "'datasets: [mnist]'")
    assert str(path) in str(told.value) and "\n" not in str(told.value) and len(str(told.value)) < len(str(path)) + 350


YAML_ISH = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "a: ",
                "b: ",
                "- ",
                "[",
                "]",
                "{",
                "}",
                ", ",
                "\n",
                "  ",
                "&x ",
                "*x",
                "<<: ",
                "? ",
                "!!int ",
                "!!float ",
                "!!set ",
            ]
        ),
        st.sampled_from(
            ["0x", "0b", "1:2", ".nan", ".inf", "1e999", "2020-13-01", "~", "yes", "'", '"', "|\n", "---\n", "%", "\t"]
        ),
        st.text(max_size=3),
        st.integers().map(str),
    ),
    max_size=40,
).map("".join)


@given(text=YAML_ISH)
@example(text="a: &x 1\nb: *x\n")
@example(text="a: &x {p: 1}\nb: {<<: *x, q: 2}\n")
def test_fields_or_one_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """What is read is what PyYAML reads."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    try:
        fields = read_fields(path, "spec", "'datasets: [mnist]'")
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert repr(fields) == repr(yaml.safe_load(path.read_bytes()))


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfdatasets: digits\n", "datasets: digits\n".encode("utf-16")])
def test_marks_of_encodings(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spec.yaml").write_bytes(content)
    assert read_fields(tmp_path / "spec.yaml", "spec", "") == {"datasets": "digits"}


def test_anchors_and_depth_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}\nc: [*a, *a]\nd: " + "[" * (DEEPEST - 2) + "]" * (DEEPEST - 2)
    )
    fields = read_fields(path, "spec", "")
    assert fields["b"] == {"p": 1, "q": 3} and fields["c"] == 2 * [{"p": 1, "q": 2}]
    path.write_text(f"a: &a [{','.join('x' * 999)}]\nb: [{','.join(['*a'] * (MOST_VALUES // 1000 - 2))}]")
    assert len(read_fields(path, "spec", "")["b"]) == MOST_VALUES // 1000 - 2


def test_no_files(tmp_path: Path) -> None:
    """A folder, a pipe without writer, an endless device, bytes that are not text, a name with a NUL."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "latin.yaml", tmp_path / "a\0b"):
        with pytest.raises(InputError):
            read_fields(path, "spec", "")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"seeds": 10**9}, "models"),
        ({"seeds": MOST_MODELS // 2 + 1, "learning_rate": [0.1, 0.2]}, "models"),
        ({"seeds": MOST_MODELS // 2 + 1, "datasets": ["digits", "glyphs"]}, "models"),
        ({"per_dataset": {"digits": {"seeds": MOST_MODELS + 1}}}, "models"),
        ({"seeds": MOST_MODELS // 6, "fork": {"after": [0, 1], "part": [None, "iid-0-of-2"], "seeds": 2}}, "models"),
        ({"seeds": MOST_MODELS, "epochs": MOST_CHECKPOINTS // MOST_MODELS + 1}, "checkpoints"),
        ({"epochs": 10**12}, "epochs"),
        ({"seed": 10**40}, "seed"),
        ({"seed": -5}, "seed"),
        ({"learning_rate": float("inf")}, "finite"),
        ({"weight_decay": "1e400"}, "finite"),
        ({"learning_rate": [0.1, float("nan")]}, "finite"),
        ({"width": 1e6}, "width"),
        ({"image_size": 10**7}, "image_size"),
        ({"name": "a" * 300}, "name"),
        ({"batch_size": int("9" * 4200)}, "batch_size"),
    ],
)
def test_sizes_before_they_are_made(fields: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        make_spec({"datasets": "digits", "learning_rate": 0.1} | fields)
    assert len(str(error.value)) < 300


def test_a_model_that_is_larger_than_the_machine(run: Run, tmp_path: Path) -> None:
    wide = ["--architectures", "resnet18", "--width", "100", "--seeds", "1", "--train-images", "100"]
    code, output = run("build-zoo", *wide, "--home", tmp_path)
    assert code == 2 and "GiB to train" in output


def test_the_largest_zoo() -> None:
    spec = make_spec({"datasets": "digits", "learning_rate": 0.1, "seeds": MOST_MODELS, "checkpoint_epochs": [6]})
    assert spec.seeds == MOST_MODELS


def test_studies_and_tracks(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    for changes in (
        "seeds: 1000000000",
        "seed: 1e400",
        "tasks: {generation: {drawn: 100000000000}}",
        f"tasks: {{generation: {{drawn: {'9' * 5000}}}}}",
        "methods: {sane: {set: {learning_rate: .inf}}}",
        "combine: [pairs]\nzoos: {" + ", ".join(f"z{i}: {{datasets: digits}}" for i in range(3000)) + "}",
        BOMB,
    ):
        name = changes.partition(":")[0]
        common = {"name": "x", "zoos": "{d: {datasets: digits}}", "combine": "[alone]"}
        kept = "".join(
            f"{field}: {value}\n" for field, value in common.items() if field not in changes or field == "name"
        )
        path.write_text(kept + changes)
        with pytest.raises(InputError) as told:
            read_study(path)
        assert "\n" not in str(told.value) and len(str(told.value)) < len(str(path)) + 300, name
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "track.yaml").write_text("seeds: 1000000000\n" + BOMB)
    with pytest.raises(InputError, match="values"):
        read_track(tmp_path, "board")


@pytest.mark.parametrize(
    "arguments",
    [
        ["build-zoo", "--seeds", "1000000000"],
        ["build-zoo", "--learning-rate", "1e400"],
        ["build-zoo", "--seed", "9" * 40],
        ["build-zoo", "--cpus-per-job", "nan"],
        ["build-zoo", "--cpus-per-job", "inf"],
        ["eval", "--seeds", "1000000000"],
        ["eval", "--set", "steps=1e400"],
        ["eval", "--set", "learning_rate=inf"],
        ["eval", "--set", f"steps={'9' * 5000}"],
        ["train", "--set", "d_model=99999999999999"],
        ["train", "--seed", "-1"],
    ],
)
def test_options(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    code, output = run(*arguments, "--home", tmp_path)
    assert code == 2 and "Traceback" not in output and len(output) < 1200


def test_little_memory(tmp_path: Path) -> None:
    """An expanding file is refused in a process with limited memory."""
    script = """
import resource, sys
from pathlib import Path
from zoo_generation.errors import InputError
from zoo_generation.settings import read_fields
from zoo_generation.training.spec import make_spec
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
for name in sys.argv[1:]:
    try:
        make_spec(read_fields(Path(name), "spec", ""))
    except InputError as error:
        print("told")
"""
    contents = [
        BOMB,
        HOSTILE["merges that grow"],
        "datasets: digits\nseeds: 1000000000",
        "datasets: digits\nepochs: 999999",
    ]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.yaml").write_text(content)
    command = [sys.executable, "-c", script, *map(str, sorted(tmp_path.glob("*.yaml")))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=_seconds)
    assert done.stdout.split() == ["told"] * len(contents), done.stderr


def _seconds() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
