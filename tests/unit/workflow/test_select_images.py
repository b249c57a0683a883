"""Whole images: chosen by a network, answered by the oracle, never asked twice, not in the pool of points any more."""

from collections.abc import Callable

import numpy as np
import pytest

from frugalseg.acquisition.images import RankedImage
from frugalseg.core.codec import read_label_png
from frugalseg.core.cost import CostModel
from frugalseg.core.errors import BudgetError, ConfigError, StageOrderError
from frugalseg.core.records import Answer, Provenance, Query, QueryKind, Verdict
from frugalseg.core.table import read_records
from frugalseg.data.batches import ImageCache
from frugalseg.data.labels import LabelReader
from frugalseg.data.quarantine import write_quarantine
from frugalseg.evaluation.chosen_images import chosen_words
from frugalseg.evaluation.vector_map import VectorMap
from frugalseg.models.store import load_model
from frugalseg.training.losses import entropy_NHW
from frugalseg.training.predict import Predictor
from frugalseg.workflow import catalog
from frugalseg.workflow.image_exhibits import image_exhibits
from frugalseg.workflow.label import label
from frugalseg.workflow.project import ANSWERS, IMAGES, MAP, MODEL, PARTIAL, QUESTIONS, Project
from frugalseg.workflow.rounds import labelled_in_full
from frugalseg.workflow.select import select
from frugalseg.workflow.stage import Options, StageResult, run_stage

QUIET = Options(quiet=True)
Make = Callable[..., Project]


def answer(project: Project, selection: StageResult) -> StageResult:
    """Answer by the oracle, and let a model learn from that (it stays what it was)."""
    answered = label(project, True, selection.where, QUIET)
    asked = project.run(str(selection.where)).input("model")

    def work(folder):
        (folder / MODEL).mkdir()
        for path in asked.iterdir():
            (folder / MODEL / path.name).write_bytes(path.read_bytes())
        return {}

    run_stage(project, "retrain-point_da", {"model": asked, "answers": answered.where}, {}, work, QUIET)
    return answered


@pytest.mark.parametrize("strategy", catalog.IMAGE_SELECTORS)
def test_every_strategy_asks_for_as_many_whole_images_as_are_paid_for(untrained: Make, strategy: str) -> None:
    project = untrained(frames=6)
    done = select(project, strategy, "50%images", None, QUIET)
    queries = list(read_records(done.where / QUESTIONS, Query))
    assert len(queries) == done.found["questions"] == done.found["images"] == 3
    assert all(query.kind is QueryKind.IMAGE and query.strategy == strategy for query in queries)
    assert done.found["human_seconds_planned"] == 3 * CostModel().image_s
    table = list(read_records(done.where / IMAGES, RankedImage))
    assert [row.key for row in table] == [frame.key for frame in project.manifest("target")]
    assert {row.key for row in table if row.chosen} == {query.key for query in queries}
    assert (done.where / MAP).is_file() == (strategy in ("multi_anchor", "diverse_images"))
    assert select(project, strategy, "50%images", None, QUIET).done_before


def test_hours_buy_images_at_their_cost(untrained: Make) -> None:
    project = untrained(frames=6)
    assert select(project, "random_images", "2.5h", None, QUIET).found["images"] == 2  # 75 minutes each
    with pytest.raises(BudgetError, match="buys no image; one takes 4500 s"):
        select(project, "random_images", "1h", None, QUIET)
    with pytest.raises(BudgetError, match="only 6 frames"):
        select(project, "random_images", "7images", None, QUIET)


def test_the_highest_mean_entropy_is_asked(untrained: Make) -> None:
    project = untrained(frames=6)
    done = select(project, "entropy_images", "2images", None, QUIET)
    look = Predictor(load_model(project.latest_model() / MODEL), (48, 64))
    read = ImageCache(0).read
    mean = {f.key: float(entropy_NHW(look.logits(read(f))[None]).mean()) for f in project.manifest("target")}
    expected = sorted(mean, key=lambda key: -mean[key])[:2]
    assert [query.key for query in read_records(done.where / QUESTIONS, Query)] == sorted(expected)


def test_the_oracle_answers_whole_images_with_the_truth(untrained: Make) -> None:
    project = untrained(frames=4)
    selection = select(project, "random_images", "2images", None, QUIET)
    done = label(project, True, selection.where, QUIET)
    answers = list(read_records(done.where / ANSWERS, Answer))
    assert [a.verdict for a in answers] == [Verdict.MASK] * 2 and done.found["human_seconds"] == 2 * 4500
    asked = {query.key for query in read_records(selection.where / QUESTIONS, Query)}
    reader = LabelReader(project.manifest("target").classes, project.classes)
    for frame in project.manifest("target"):
        ids = read_label_png(done.where / PARTIAL / "labels" / f"{frame.key}.png")
        provenance = read_label_png(done.where / PARTIAL / "provenance" / f"{frame.key}.png")
        if frame.key in asked:
            assert np.array_equal(ids, reader.read(frame)) and (provenance == Provenance.HUMAN_MASK).any()
        else:
            assert (ids == 255).all() and not provenance.any()


def test_a_labelled_frame_is_asked_neither_whole_nor_by_points_again(untrained: Make) -> None:
    project = untrained(frames=5)
    first = select(project, "multi_anchor", "2images", None, QUIET)
    answered = answer(project, first)
    keys = {query.key for query in read_records(first.where / QUESTIONS, Query)}
    assert labelled_in_full([project.run(str(answered.where))]) == keys
    second = select(project, "multi_anchor", "3images", None, QUIET)
    asked = {query.key for query in read_records(second.where / QUESTIONS, Query)}
    assert len(asked) == 3 and asked.isdisjoint(keys) and second.found["round"] == 2
    with pytest.raises(BudgetError, match="only 3 have not been labelled yet"):
        select(project, "multi_anchor", "4images", None, QUIET)
    points = select(project, "random_points", "2points/image", None, QUIET)
    found = list(read_records(points.where / QUESTIONS, Query))
    assert len(found) == 6 and keys.isdisjoint(query.key for query in found)


def test_masks_of_an_earlier_round_stay_when_points_follow(untrained: Make) -> None:
    project = untrained(frames=3)
    first = select(project, "entropy_images", "1images", None, QUIET)
    answer(project, first)
    points = select(project, "margin", "3points/image", None, QUIET)
    done = label(project, True, points.where, QUIET)
    (key,) = {query.key for query in read_records(first.where / QUESTIONS, Query)}
    provenance = read_label_png(done.where / PARTIAL / "provenance" / f"{key}.png")
    assert (provenance == Provenance.HUMAN_MASK).mean() > 0.5
    others = [f.key for f in project.manifest("target") if f.key != key]
    kinds = [set(np.unique(read_label_png(done.where / PARTIAL / "provenance" / f"{k}.png"))) for k in others]
    assert all(kind <= {Provenance.UNKNOWN, Provenance.HUMAN_POINT} for kind in kinds)


def test_what_a_strategy_compares_with_has_to_be_there(untrained: Make) -> None:
    project = untrained(frames=3, source=False, discriminator=False)
    with pytest.raises(StageOrderError, match="has no source data.\nAdd it: frugalseg init"):
        select(project, "multi_anchor", "1images", None, QUIET)
    with pytest.raises(StageOrderError, match="First: frugalseg adapt"):
        select(project, "aada", "1images", None, QUIET)


def test_a_control_share_makes_no_sense_for_images(untrained: Make) -> None:
    project = untrained(frames=3)
    none = Options(overrides=("control_share=0",), quiet=True)
    assert select(project, "entropy_images", "1images", None, none).found["images"] == 1
    with pytest.raises(ConfigError, match="random_images is the control"):
        select(project, "entropy_images", "1images", None, Options(overrides=("control_share=0.1",), quiet=True))


def test_the_map_shows_both_domains_the_anchors_and_what_was_chosen(untrained: Make) -> None:
    project = untrained(frames=6)
    options = Options(overrides=("anchors=2",), quiet=True)
    done = select(project, "multi_anchor", "2images", None, options)
    found = VectorMap.load(done.where / MAP)
    assert [len(part) for part in (found.source_S2, found.target_T2, found.anchors_K2)] == [4, 6, 2]
    asked = {query.key for query in read_records(done.where / QUESTIONS, Query)}
    assert {key for key, chosen in zip(found.keys, found.chosen_T, strict=True) if chosen} == asked
    table = {row.key: row.anchor for row in read_records(done.where / IMAGES, RankedImage)}
    assert dict(zip(found.keys, found.anchor_T.tolist(), strict=True)) == table
    assert 0 < found.explained <= 1


def test_what_it_found_says_how_many_anchors_there_are(untrained: Make) -> None:
    project = untrained(frames=6)
    many = Options(overrides=("anchors=50",), quiet=True)
    assert select(project, "multi_anchor", "2images", None, many).found["anchors"] == 4  # source frames
    assert "anchors" not in select(project, "entropy_images", "2images", None, QUIET).found


def test_in_a_later_round_ranks_are_those_of_the_frames_that_could_be_asked(untrained: Make) -> None:
    project = untrained(frames=6)
    answer(project, select(project, "entropy_images", "2images", None, QUIET))
    second = select(project, "entropy_images", "3images", None, QUIET)
    table = list(read_records(second.where / IMAGES, RankedImage))
    assert sum(row.asked for row in table) == 2 and not any(row.asked and row.chosen for row in table)
    shown = image_exhibits(project, project.list())
    assert shown.chosen is not None and [one.rank for one in shown.chosen.chosen] == [1, 2, 3]
    assert "These are the highest scores of those not labelled before." in chosen_words(shown.chosen)


def test_dry_run_says_what_it_would_cost(untrained: Make) -> None:
    project = untrained(frames=6)
    told = select(project, "multi_anchor", "2images", None, Options(dry_run=True, quiet=True))
    assert told.folder is None and told.found["images"] == 2 and told.found["human_seconds_planned"] == 9000


def test_the_report_shows_the_choices_and_a_missing_picture_costs_no_more(untrained: Make) -> None:
    project = untrained(frames=6)
    done = select(project, "multi_anchor", "3images", None, QUIET)
    select(project, "random_images", "3images", None, QUIET)
    shown = image_exhibits(project, project.list())
    assert shown.chosen is not None and shown.left_out == ()
    assert shown.chosen.stage == done.where.name and shown.chosen.map is not None
    chosen = {query.key: query.score for query in read_records(done.where / QUESTIONS, Query)}
    assert {one.key: one.score for one in shown.chosen.chosen} == chosen and set(shown.chosen.images) == set(chosen)
    assert [one.score for one in shown.chosen.chosen] == sorted(chosen.values(), reverse=True)
    write_quarantine(project.manifest_folder("target"), {min(chosen): "for a test"})
    fewer = image_exhibits(project, project.list())
    assert fewer.chosen is not None and set(fewer.chosen.images) == set(chosen) - {min(chosen)}
    assert fewer.left_out == ((f"Frame {min(chosen)}", "no longer among the target frames"),)
    assert image_exhibits(project, []).chosen is None
