"""A project with questions, the real server in a process of its own, and the system's Chromium."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.artifact import Stage
from frugalseg.core.chance import generator
from frugalseg.core.records import Point, Query, QueryKind
from frugalseg.core.table import write_records
from frugalseg.data.labels import LabelReader
from frugalseg.data.toycity import write_dataset
from frugalseg.evaluation.surprise import Guess
from frugalseg.workflow.drawing import draw_selection
from frugalseg.workflow.project import GUESSES, QUESTIONS, Project, init_project

FRAMES, POINTS = 6, 220
SIZE_HW = (192, 256)


@dataclass
class World:
    """A project, the true class of each of its questions, and where its server runs."""

    project: Path
    truth: dict[tuple[str, int, int], int]
    process: subprocess.Popen | None = None
    port: int = 0
    link: str = ""

    def start(self, *options: str) -> None:
        code = "from frugalseg.cli.main import main; main()"
        command = [
            sys.executable,
            "-c",
            code,
            "label",
            str(self.project),
            "--no-open",
            "--port",
            str(self.port),
            *options,
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"answer at (http://127\.0\.0\.1:(\d+)/\S+)", line):
                self.link, self.port = found[1], int(found[2])
                return
        raise AssertionError(f"the server did not start: {self.process.wait()}")

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> str:
        """Stop as Ctrl-C does; return what it printed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=60)[0]


def build(root: Path, points: int = POINTS) -> World:
    for name, look, seed in (("target", "street", 2), ("validation", "street", 3)):
        write_dataset(root / name, look, seed, 1, FRAMES, SIZE_HW)
    init_project(root / "p", {name: f"folder:{root / name}" for name in ("target", "validation")}, None)
    project = Project.open(root / "p")
    target = project.manifest("target")
    reader, queries, truth, guesses = LabelReader(target.classes, project.classes), [], {}, []
    labels = {frame.key: reader.read(frame) for frame in target}
    for number in range(points):
        frame = target.frames[number % len(target)]
        rng = generator(0, "browser", number)
        row, column = int(rng.integers(SIZE_HW[0])), int(rng.integers(SIZE_HW[1]))
        queries.append(Query(f"q{number}", frame.key, QueryKind.POINT, "test", 0.0, Point(row, column)))
        truth[frame.key, row, column] = int(labels[frame.key][row, column])
        guesses.append(Guess(f"q{number}", number % len(project.classes), False))
    with Stage(project.runs, "select-test", {"target": project.manifest_folder("target")}, {}, ["test"], 0) as stage:
        write_records(stage.folder / QUESTIONS, queries, Query)
        write_records(stage.folder / GUESSES, guesses, Guess)
        draw_selection(project, queries, stage.folder)
        stage.commit({})
    return World(root / "p", truth)


@pytest.fixture
def serve() -> Iterator[Callable[..., World]]:
    """Serve the newest questions of a project; what still runs at the end is killed."""
    worlds: list[World] = []

    def begin(project: Path, truth: dict[tuple[str, int, int], int], *options: str) -> World:
        worlds.append(World(project, truth))
        worlds[-1].start(*options)
        return worlds[-1]

    yield begin
    for found in worlds:
        if found.process is not None and found.process.poll() is None:
            found.kill()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = build(tmp_path)
    yield found
    if found.process is not None and found.process.poll() is None:
        found.kill()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium) -> Iterator[Callable[..., Any]]:
    """Open a link as a person with a browser profile of their own; the page's errors fail the test.

    With `clock` the page's time can be turned forward.
    """
    contexts, errors = [], []

    def open_page(link: str, clock: bool = False, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, **options)
        context.set_default_timeout(120_000)  # a loaded machine must not make a test fail
        contexts.append(context)
        page = context.new_page()
        if clock:
            page.clock.install()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(link)
        page.wait_for_selector("main.ask:not([hidden])")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Any, str], None]:
    """Keep a picture of a page for the docs, when the tests run with --screenshots."""

    def take(page: Any, name: str) -> None:
        if request.config.getoption("--screenshots"):
            page.screenshot(path=str(Path(__file__).parents[2] / "docs" / "images" / f"{name}.png"))

    return take
