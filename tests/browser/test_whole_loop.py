"""The loop closed by a person: adapt, select, answer in the browser; `run` goes on, scores rise, the report says so.

The project has no label of the target on disk. The person knows the place: what is asked is looked up in a copy with
labels. Thinking takes as long as `THINKS_MS` says; the page's clock is turned forward, and nobody has to wait.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from frugalseg.cli.main import run
from frugalseg.data.labels import LabelReader
from frugalseg.data.toycity import write_dataset
from frugalseg.evaluation.wording import duration
from frugalseg.workflow.project import Project, init_project

pytestmark = pytest.mark.slow
KEYS = "1234567890qwertyuiop"
SIZE_HW, FRAMES, STEPS = (48, 64), 10, 120
POINTS = 15 * FRAMES
WORLDS = {"source": ("simulator", 1), "target": ("street", 2), "validation": ("street", 3)}
TRAINING = f"height = {SIZE_HW[0]}\nwidth = {SIZE_HW[1]}\nbatch_size = 4\nsteps = {STEPS}\n"
THINKS_MS = (1200, 1600, 2000, 2400, 4000)  # one after the other; the median is the third


def prepare(root: Path) -> Path:
    for name, (look, seed) in WORLDS.items():
        write_dataset(root / name, look, seed, FRAMES, 1, SIZE_HW, labels=name != "target")
    folder = root / "city"
    (folder / "settings").mkdir(parents=True)
    for method in ("source_only", "point_da"):
        (folder / "settings" / f"{method}.toml").write_text(TRAINING)
    specs = [part for name in WORLDS for part in (f"--{name}", f"folder:{root / name}")]
    rest = ("--adapt-method", "source_only", "--budget", f"{POINTS}points", "--quiet")
    assert run(["init", str(folder), *specs, *rest]) == 0
    return folder


def look_up(root: Path) -> dict[tuple[str, int, int], int]:
    """The class of every pixel of the target and of the validation frames, which the gold questions are about."""
    look, seed = WORLDS["target"]
    write_dataset(root / "known", look, seed, FRAMES, 1, SIZE_HW)
    known = init_project(root / "truth", {"target": f"folder:{root / 'known'}"}, None)
    truth = {}
    for project, domain in ((known, "target"), (Project.open(root / "city"), "validation")):
        manifest = project.manifest(domain)
        for frame in manifest:
            label_HW = LabelReader(manifest.classes, project.classes).read(frame)
            truth |= {(frame.key, r, c): int(label_HW[r, c]) for r in range(SIZE_HW[0]) for c in range(SIZE_HW[1])}
    return truth


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*arguments, "--json", "--quiet"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def answer_everything(page: Any, truth: dict[tuple[str, int, int], int]) -> int:
    """Think, press the key of the true class, go on; return how many questions there were."""
    for number in range(10 * POINTS):
        question = page.evaluate("document.body.dataset.question")
        if not question:
            return number
        place = re.fullmatch(r"(.+), row (\d+), column (\d+)", page.text_content("#place"))
        page.clock.fast_forward(THINKS_MS[number % len(THINKS_MS)])
        page.keyboard.press(KEYS[truth[place[1], int(place[2]), int(place[3])]])
        page.wait_for_function(
            """before => document.body.dataset.question !== before && (document.body.dataset.question
            || document.querySelector('.done p').textContent.startsWith('Nothing is left'))""",
            arg=question,
        )
    raise AssertionError("the questions never ended")


def test_a_person_answers_the_run_goes_on_and_the_score_rises(serve, visit, picture, tmp_path, capsys) -> None:
    folder = prepare(tmp_path)
    before = output(capsys, "run", str(folder))
    assert before["answers_due"].split("/")[-1].split("-")[1] == "select"
    world = serve(folder, look_up(tmp_path))
    page = visit(world.link, clock=True)
    answered = answer_everything(page, world.truth)
    page.wait_for_function("() => document.querySelector('.dot').dataset.state === 'saved'")
    assert re.match("label (done|had been done)", world.stop())  # at the last answer, or now that the server stops
    after = output(capsys, "run", str(folder))
    assert after["source_only"] == before["source_only"]
    assert after["retrained"] > after["source_only"] + 0.02
    ledger = json.loads(next(folder.glob("runs/*-label-*/ledger.json")).read_text())
    assert ledger["answers"]["point"] == POINTS and sum(ledger["answers"].values()) == answered
    assert ledger["verdicts"] == {"class": POINTS}
    assert ledger["each_s"]["point"]["median"] >= THINKS_MS[2] / 1000  # and what the machine took
    assert all(person["right"] == person["checked"] for person in ledger["people"])
    (row,) = after["rounds"]
    assert row["human_seconds"] == pytest.approx(sum(ledger["seconds"].values()))
    read_the_report(page, folder, ledger, picture)
    corrected = output(capsys, "retrain", str(folder), "--set", "human_loss=annotators", "--set", "steps=2")
    assert corrected["stage"] == "retrain-point_da"


def read_the_report(page: Any, folder: Path, ledger: dict[str, Any], picture: Any) -> None:
    """The report shows the seconds that were measured, as a person sees it."""
    page.goto((folder / "report.html").as_uri())
    shown = " ".join(page.locator("#answered tbody").first.text_content().split())
    assert duration(ledger["each_s"]["point"]["median"]) in shown and duration(3.0) in shown  # measured; forecast
    assert "measured" in page.locator(".tiles").text_content()
    assert "simulated" not in page.locator("body").text_content()
    assert "admin" in page.locator("#answered tbody").nth(1).text_content()
    picture(page.locator("#answered"), "report_people")
