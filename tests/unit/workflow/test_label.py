"""`label --simulate`: answers from ground truth with the mistakes asked for, each counted; and a round without one."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from frugalseg.annotation.oracle import Oracle
from frugalseg.cli.main import run
from frugalseg.core.classes import IGNORE
from frugalseg.core.cost import CostModel
from frugalseg.core.errors import ConfigError
from frugalseg.core.records import Answer, Point, Provenance, Query, QueryKind, Verdict
from frugalseg.core.table import read_records, write_records
from frugalseg.data.batches import PartialLabelFolder
from frugalseg.data.labels import LabelReader
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.label import cells_by_key, label, label_nothing
from frugalseg.workflow.project import ANSWERS, LEDGER, MODEL, PARTIAL, QUESTIONS, Project, init_project
from frugalseg.workflow.stage import Options, run_stage

SIZE_HW = (32, 48)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose questions were not chosen by a network: every eighth pixel of two of its three frames."""
    write_dataset(tmp_path / "target", "street", 2, 3, 1, SIZE_HW)
    opened = init_project(tmp_path / "project", {"target": f"folder:{tmp_path / 'target'}"}, None)

    def ask(folder: Path) -> dict[str, int]:
        pixels = [(row, column) for row in range(0, SIZE_HW[0], 8) for column in range(0, SIZE_HW[1], 8)]
        queries = [
            Query(f"{frame.key}-{row}-{column}", frame.key, QueryKind.POINT, "test", 0.0, Point(row, column))
            for frame in opened.manifest("target").frames[:2]
            for row, column in pixels
        ]
        write_records(folder / QUESTIONS, queries, Query)
        return {"questions": len(queries)}

    run_stage(opened, "select-test", {}, {"budget": "2000points"}, ask, Options(quiet=True))
    return opened


def simulate(project: Project, *overrides: str):
    return label(project, True, None, Options(overrides=overrides, quiet=True))


def truth_and_answers(project: Project, folder: Path) -> list[tuple[int, Answer]]:
    target = project.manifest("target")
    reader = LabelReader(target.classes, project.classes)
    truth = {frame.key: reader.read(frame) for frame in target}
    asked = {query.id: query for query in read_records(project.run("1").folder / QUESTIONS, Query)}
    return [
        (int(truth[asked[a.query].key][asked[a.query].point.row, asked[a.query].point.column]), a)
        for a in read_records(folder / ANSWERS, Answer)
    ]


def test_without_settings_the_answers_are_the_plain_oracles(project: Project) -> None:
    done = simulate(project)
    asked = list(read_records(project.run("1").folder / QUESTIONS, Query))
    reader = LabelReader(project.manifest("target").classes, project.classes)
    expected = []
    for frame in project.manifest("target").frames[:2]:
        own = [query for query in asked if query.key == frame.key]
        expected += Oracle(CostModel(), project.settings.seed).answer(own, reader.read(frame))
    assert list(read_records(done.where / ANSWERS, Answer)) == expected
    assert done.found["wrong"] == 0 and done.found["answers"] == len(asked) == 48


def test_every_verdict_and_every_mistake_is_counted(project: Project) -> None:
    done = simulate(project, "wrong_rate=0.5", "skip_rate=0.2", "none_rate=0.2", "ambiguous_rate=0.5")
    replies = truth_and_answers(project, done.where)
    ledger = json.loads((done.where / LEDGER).read_text())
    verdicts = Counter(str(answer.verdict) for _, answer in replies)
    assert ledger["verdicts"] == {str(verdict): verdicts[str(verdict)] for verdict in Verdict}
    assert all(n for verdict, n in ledger["verdicts"].items() if verdict != "mask"), "each about a pixel came up"
    wrong = sum(answer.class_id not in (None, truth) for truth, answer in replies)
    assert ledger["wrong"] == done.found["wrong"] == wrong > 0
    labelled = [PartialLabelFolder(done.where / PARTIAL)(frame)[0] for frame in project.manifest("target")]
    assert sum(int((ids != IGNORE).sum()) for ids in labelled) == ledger["verdicts"]["class"]
    assert (labelled[2] == IGNORE).all(), "nobody asked about the third frame"


def test_settings_come_from_the_project_and_what_is_given_is_stronger(project: Project) -> None:
    (project.folder / "settings").mkdir()
    (project.folder / "settings" / "label.toml").write_text("wrong_rate = 1.0\nambiguous_rate = 0.0\n")
    all_wrong, none_wrong = simulate(project), simulate(project, "wrong_rate=0.0")
    assert all_wrong.found["wrong"] == all_wrong.found["verdicts"]["class"] > 0
    assert none_wrong.found["wrong"] == 0 and none_wrong.where != all_wrong.where
    assert simulate(project).done_before
    with pytest.raises(ConfigError, match="Did you mean 'wrong_rate'"):
        simulate(project, "wrong=0.1")


def test_from_the_command_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["label", str(project.folder), "--simulate", "--set", "wrong_rate=1.0", "--json", "--quiet"]
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["wrong"] > 0
    assert run([*arguments, "--set", "wrong_rate=2"]) == 2
    assert "wrong_rate = 2" in capsys.readouterr().err


def test_a_round_without_a_question_labels_nothing_and_costs_nothing(project: Project) -> None:
    done = label_nothing(project, Options(quiet=True))
    read = PartialLabelFolder(done.where / PARTIAL)
    for frame in project.manifest("target"):
        ids, provenance = read(frame)
        assert ids.shape == SIZE_HW and (ids == IGNORE).all() and not np.any(provenance)
    assert (done.found["answers"], done.found["human_seconds"]) == (0, 0)
    assert cells_by_key(done.where) == {}
    assert label_nothing(project, Options(quiet=True)).done_before


def model_of(project: Project) -> Path:
    """Return the model folder of a stage that learned nothing."""

    def work(folder: Path) -> dict[str, int]:
        (folder / MODEL).mkdir()
        (folder / MODEL / "model.json").write_text("{}")
        return {}

    return run_stage(project, "import", {}, {}, work, Options(quiet=True)).where / MODEL


def ask_images(project: Project, keys: list[str], earlier: Path | None = None) -> Path:
    """Make a round that asks for whole images, and return its folder."""

    def ask(folder: Path) -> dict[str, int]:
        write_records(folder / QUESTIONS, [Query(f"i-{key}", key, QueryKind.IMAGE, "test", 0.0) for key in keys], Query)
        return {"questions": len(keys)}

    inputs = {"model": model_of(project)} | ({"earlier": earlier} if earlier else {})
    return run_stage(project, "select-images", inputs, {"keys": keys}, ask, Options(quiet=True)).where


def test_whole_images_come_back_as_masks_and_stay_through_later_rounds(project: Project) -> None:
    keys = [frame.key for frame in project.manifest("target")]
    reader = LabelReader(project.manifest("target").classes, project.classes)
    first = label(project, True, ask_images(project, keys[:1]), Options(quiet=True))
    second = label(project, True, ask_images(project, keys[1:2], first.where), Options(quiet=True))
    for frame, known in zip(project.manifest("target"), (True, True, False), strict=True):
        label_HW, provenance_HW = PartialLabelFolder(second.where / PARTIAL)(frame)
        truth_HW = reader.read(frame)
        assert (label_HW == (truth_HW if known else IGNORE)).all()
        assert {*provenance_HW[label_HW != IGNORE].tolist()} == ({Provenance.HUMAN_MASK} if known else set())
    assert first.found["human_seconds"] == second.found["human_seconds"] == CostModel().image_s
    assert (second.found["answers"], second.found["verdicts"]["mask"], second.found["wrong"]) == (1, 1, 0)


def test_points_that_are_asked_after_a_whole_image_stand_over_it(project: Project) -> None:
    key = project.manifest("target").frames[0].key
    images = label(project, True, ask_images(project, [key]), Options(quiet=True))

    def ask(folder: Path) -> dict[str, int]:
        write_records(folder / QUESTIONS, [Query("p", key, QueryKind.POINT, "test", 0.0, Point(3, 4))], Query)
        return {"questions": 1}

    inputs = {"model": model_of(project), "earlier": images.where}
    points = run_stage(project, "select-points", inputs, {}, ask, Options(quiet=True)).where
    frame = project.manifest("target").by_key[key]
    _, provenance_HW = PartialLabelFolder(
        label(project, True, points, Options(overrides=("ambiguous_rate=0",), quiet=True)).where / PARTIAL
    )(frame)
    assert provenance_HW[3, 4] == Provenance.HUMAN_POINT and (provenance_HW == Provenance.HUMAN_POINT).sum() == 1
    assert (provenance_HW == Provenance.HUMAN_MASK).sum() > SIZE_HW[0] * SIZE_HW[1] / 2
