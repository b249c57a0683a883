"""Exit codes, what is imported, and what goes to which stream, seen from outside."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from frugalseg import __version__
from frugalseg.cli.main import VERBS, run

START = "import sys; from frugalseg.cli.main import main; main(sys.argv[1:])"
HEAVY = {"torch", "numpy", "pyarrow", "cv2", "PIL", "matplotlib", "lightning", "rich"}
HELP_USER_S = 1.5  # the promise is 0.5 s; twice and more of it for a loaded machine
BOOM = '''
"""A verb that fails in every way there is."""
import errno
from typing import Annotated
import typer
from frugalseg.cli.output import logs_on_stderr, show
from frugalseg.core.errors import ConfigError

EXAMPLES = ("frugalseg boom slip",)
ERRORS = {
    "slip": ValueError("a slip\\x1b[31m"), "user": ConfigError("what\\nand how"), "ctrl-c": KeyboardInterrupt(),
    "sigterm": SystemExit(143), "full": OSError(errno.ENOSPC, "No space left on device", "city/runs"),
    "missing": FileNotFoundError(errno.ENOENT, "No such file", "internal.txt"),
}

def command(how: str, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Fail."""
    with logs_on_stderr():
        print("a library's chatter")
        if how in ERRORS:
            raise ERRORS[how]
    show({"score": float("nan"), "scores": [1.0, float("inf")]}, as_json, "fine")
'''


def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


@pytest.fixture
def boom(tmp_path: Path):
    """Run the failing verb `boom` in a process of its own; temporary files go to the test's folder."""
    (tmp_path / "boom.py").write_text(BOOM)
    start = "import sys; from frugalseg.cli import main; main.VERBS['boom'] = main.Verb('boom', 'fails'); main.main()"

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(tmp_path), *sys.path])
        env = os.environ | {"PYTHONPATH": path, "TMPDIR": str(tmp_path)} | environment
        return subprocess.run(
            [sys.executable, "-c", start, "boom", *arguments], capture_output=True, text=True, env=env
        )

    return call


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version",), ("adapt", "--help")])
def test_help_is_quick_and_loads_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom frugalseg.cli.main import run\n"
        f"code = run({list(arguments)!r})\n"
        f"open({str(tmp_path / 'loaded')!r}, 'w').write(' '.join(sys.modules))\nsys.exit(code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    user_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    loaded = {name.partition(".")[0] for name in (tmp_path / "loaded").read_text().split()}
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not loaded & HEAVY
    assert "pydantic" not in loaded or not arguments or arguments[0] == "adapt"  # typer's own, to read values
    assert user_s < HELP_USER_S


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"frugalseg {__version__}\n"


def test_help_lists_every_verb_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    bare = capsys.readouterr().out
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert bare == text
    for name, verb in VERBS.items():
        assert f"  {name} " in text
        assert verb.help in " ".join(text.split())


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_describes_it_and_gives_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Examples:\n" in text
    assert f"\n    frugalseg {verb}" in text
    for option in ("--json", "--quiet"):
        assert option in text
    writes = verb not in ("status", "methods", "plan")
    assert ("--dry-run" in text) == writes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["slect"], "There is no verb 'slect'. Did you mean 'select'?"),
        (["xyzzy"], "There is no verb 'xyzzy'. Verbs: demo, init, check, plan, adapt"),
        (["--verison"], "No such option: --verison (Possible options: --version)"),
        (["adapt", "city", "--methd", "cbst"], "No such option: --methd (Possible options: --method"),
        (["adapt"], "Missing argument 'PROJECT'"),
        (["init", "city", "--seed", "many"], "'--seed'"),
        (["predict", "model", "a.png"], "Missing option '--out'"),
        (["methods", "entropy_patchs"], "Did you mean 'entropy_patches'?"),
        (["status", "nowhere"], "nowhere: no project here"),
        (["init", "nowhere", "--target", "folder:nowhere"], "nowhere is no folder"),
        (["init", "nowhere", "--target", "foldr:x"], "There is no reader named 'foldr'. Did you mean 'folder'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_of_the_user(arguments: list[str], said: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_console_script_leaves_with_the_exit_code() -> None:
    done = shell("status", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("frugalseg: nowhere: no project here")


def test_a_slip_of_ours_is_1_and_names_the_file_with_the_traceback(boom, tmp_path: Path) -> None:
    done = boom("slip", FRUGALSEG_DEBUG="0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "this should not have happened: ValueError: a slip\\x1b[31m\n" in done.stderr
    assert "Traceback" not in done.stderr
    (log,) = tmp_path.glob("frugalseg-*.log")
    assert str(log) in done.stderr
    assert "Traceback" in log.read_text()


def test_a_missing_file_of_ours_is_a_slip(boom) -> None:
    assert boom("missing").returncode == 1


@pytest.mark.parametrize("way", ["--debug", "FRUGALSEG_DEBUG"])
@pytest.mark.parametrize(("how", "code"), [("slip", 1), ("user", 2)])
def test_debug_shows_the_traceback(boom, tmp_path: Path, way: str, how: str, code: int) -> None:
    done = boom(how, "--debug") if way == "--debug" else boom(how, FRUGALSEG_DEBUG="1")
    assert done.returncode == code
    assert "Traceback" in done.stderr
    assert not list(tmp_path.glob("frugalseg-*.log"))


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("user", 2, "frugalseg: what\nand how\n"),
        ("ctrl-c", 130, "the same command goes on from there"),
        ("sigterm", 143, ""),
        ("full", 2, "frugalseg: city/runs: No space left on device."),
    ],
)
def test_other_exit_codes(boom, how: str, code: int, said: str) -> None:
    done = boom(how)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_stdout_holds_one_object_and_no_nan(boom) -> None:
    done = boom("not", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"score": None, "scores": [1.0, None]}
    assert done.stderr == "a library's chatter\n"


def test_a_reader_that_goes_away_is_no_slip() -> None:
    command = f"set -o pipefail; {sys.executable} -c '{START}' methods --json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode in (0, 1)
    assert done.stderr == ""
