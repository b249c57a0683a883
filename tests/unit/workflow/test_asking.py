"""Selections one after the other: what was asked is not asked again, and a command given again is the same one."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.codec import read_label_png
from frugalseg.core.records import Answer, Query, QueryKind, Verdict
from frugalseg.core.table import read_records
from frugalseg.evaluation.surprise import Guess
from frugalseg.workflow import catalog
from frugalseg.workflow.drawing import most_asked
from frugalseg.workflow.label import label
from frugalseg.workflow.predictions import FOLDER, kept, make_room
from frugalseg.workflow.project import ANSWERS, GUESSES, QUESTIONS
from frugalseg.workflow.report import report_stage
from frugalseg.workflow.rounds import chain
from frugalseg.workflow.select import select, small
from frugalseg.workflow.stage import Options

QUIET = Options(quiet=True)


def pixels(selection: Path) -> set[tuple]:
    return {(query.key, query.point) for query in read_records(selection / QUESTIONS, Query)}


@pytest.mark.parametrize("strategy", ["entropy_patches", "random_patches"])
def test_a_larger_budget_before_any_training_asks_for_more_and_keeps_all_answers(untrained, strategy):
    project = untrained(frames=2, source=False)
    start = project.list()[0].folder
    first = select(project, strategy, "5points/image", None, QUIET)
    answered = label(project, True, first.where, QUIET)
    again = select(project, strategy, "5points/image", None, QUIET)
    assert (again.where, again.done_before) == (first.where, True), "the same command asks nothing new"
    second = select(project, strategy, "10points/image", None, QUIET)
    assert len(pixels(second.where)) == 20 and not pixels(first.where) & pixels(second.where)
    both = label(project, True, second.where, QUIET)
    assert [run.folder for run in chain(both.where)] == [answered.where, both.where]
    said = [row for run in chain(both.where) for row in read_records(run.folder / ANSWERS, Answer)]
    labels = [read_label_png(path) for path in sorted((both.where / "partial" / "labels").rglob("*.png"))]
    assert sum(int((ids != 255).sum()) for ids in labels) == sum(row.verdict is Verdict.CLASS for row in said) > 0
    for budget, found in (("5points/image", first), ("10points/image", second)):
        assert select(project, strategy, budget, None, QUIET).where == found.where
        assert label(project, True, found.where, QUIET).done_before
    alone = select(project, strategy, "10points/image", start, QUIET, alone=True)
    assert alone.where != second.where and not project.run(str(alone.where)).has_input("earlier")


def test_a_control_from_the_same_start_is_a_line_of_its_own(untrained):
    project = untrained(frames=2, source=False)
    own = select(project, "entropy_patches", "5points/image", None, QUIET)
    label(project, True, own.where, QUIET)
    control = select(project, "random_patches", "5points/image", None, QUIET)
    assert not project.run(str(control.where)).has_input("earlier")


def looked(project, result) -> int:
    return project.run(str(result.where)).extra["frames_scored"]


def outcome(project, result) -> tuple:
    found = project.run(str(result.where)).extra
    rows = read_records(result.where / QUESTIONS, Query), read_records(result.where / GUESSES, Guess)
    return *rows, found["mean_entropy"]


@pytest.mark.parametrize("control", catalog.BLIND_SELECTORS)
def test_a_control_reads_what_the_network_said_instead_of_asking_it_again(untrained, control):
    project = untrained(frames=3, source=False)
    own = select(project, "entropy_patches", "5points/image", None, QUIET)
    first = select(project, control, "5points/image", None, QUIET)
    assert (looked(project, own), looked(project, first)) == (3, 0)
    assert looked(project, select(project, "entropy_patches", "6points/image", None, QUIET)) == 3, "it needs entropies"
    read, archives = outcome(project, first), list((project.folder / FOLDER).glob("*"))
    assert len(archives) == 1
    shutil.rmtree(first.where)
    archives[0].write_bytes(archives[0].read_bytes()[:-40])
    anew = select(project, control, "5points/image", None, QUIET)
    assert looked(project, anew) == 3 and outcome(project, anew) == read, "the same, by a look of its own"
    assert kept(archives[0], [frame.key for frame in project.manifest("target")]) is not None
    assert kept(archives[0], ["another"]) is None


def test_the_oldest_predictions_give_way(tmp_path):
    for age, name in enumerate("dcba"):
        (tmp_path / f"{name}.zip").write_bytes(bytes(10))
        os.utime(tmp_path / f"{name}.zip", ns=(age, age))
    make_room(tmp_path, 25)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "b"]


def test_maps_are_kept_and_shown_of_the_frames_with_most_questions(untrained):
    project = untrained(frames=6, source=False)
    found = select(project, "global_points", "3points", None, QUIET)
    asked = most_asked(read_records(found.where / QUESTIONS, Query))
    maps = found.where / "entropy"
    assert {path.relative_to(maps).with_suffix("").as_posix() for path in maps.rglob("*.png")} == {*asked}
    assert 1 <= len(asked) <= 3
    label(project, True, found.where, QUIET)
    text = (report_stage(project, QUIET).where / "report.html").read_text()
    assert {frame.key for frame in project.manifest("target") if f"{frame.key} (target)" in text} == {*asked}


def test_most_asked_first_and_ties_by_key():
    queries = [Query(f"q{n}", key, QueryKind.IMAGE, "s", 0.0) for n, key in enumerate("abbcccd")]
    assert most_asked(queries) == most_asked(queries[::-1])
    assert most_asked(queries)[:2] == ["c", "b"] and {*most_asked(queries)[2:]} == {"a", "d"}


def test_maps_set_aside_are_small():
    entropy_HW = np.linspace(0, 1, 1300 * 10, dtype=np.float32).reshape(10, 1300)
    small_HW = small(entropy_HW)
    assert small_HW.shape == (4, 434) and small_HW[0, 0] == 0 and small_HW[3, 1] == round(255 * float(entropy_HW[9, 3]))
