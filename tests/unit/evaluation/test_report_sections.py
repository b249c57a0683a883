"""The sections beyond scores: confusion matrix, calibration, gallery, drift, data; with few and many classes."""

import colorsys
import dataclasses
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.errors import DataError
from frugalseg.evaluation import calibration, gallery
from frugalseg.evaluation.coarse import CoarseScores
from frugalseg.evaluation.confusion import Confusions, confusion
from frugalseg.evaluation.confusion_table import MOST, confusion_matrix
from frugalseg.evaluation.domain_sample import DomainSample, FrameSummary
from frugalseg.evaluation.drift import measure_drift
from frugalseg.evaluation.drift_findings import DriftFindings
from frugalseg.evaluation.drift_words import drift_card
from frugalseg.evaluation.exhibits import CheckedDomain, DataCheck, Gallery, GalleryFrame, check_words
from frugalseg.evaluation.frame_scores import FrameScore, extremes
from frugalseg.evaluation.reliability import Reliability
from frugalseg.evaluation.report import EvaluatedModel, ReportData, render

EVIL = "<img src=x onerror=alert(1)>\"'--></style></title><script>alert(2)</script>{{ 7*7 }}$&amp;"
SECTIONS = {"mixups", "coarse", "reliability", "gallery", "drift", "data"}


def _load_page():
    spec = importlib.util.spec_from_file_location("report_page", Path(__file__).with_name("test_report.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Page


Page = _load_page()


def class_set(count, names=None):
    names = names or [f"class {number}" for number in range(count)]
    colors = [tuple(int(255 * v) for v in colorsys.hsv_to_rgb(n / count, 0.7, 0.8)) for n in range(count)]
    return ClassSet("many", tuple(SemanticClass(name, colors[n], (n,)) for n, name in enumerate(names)))


def domain(seed, classes, shift, frames=12):
    rng = np.random.default_rng(seed)
    return DomainSample(
        99,
        [
            FrameSummary(
                f"{seed}_{number}", "", rng.normal(shift, 1, 5).astype(np.float32), 0.4 + shift / 10,
                np.roll(rng.dirichlet(np.ones(classes)).astype(np.float32), int(shift)),
                (rng.uniform(0, 0.1, 5) + shift / 10).astype(np.float32),
            )
            for number in range(frames)
        ],
    )  # fmt: skip


def build(
    classes, frames=5, names=None, keys=None, size=(24, 32), per_group=2, model="model", domains=("source", "target")
):
    """A report of one model over generated frames; the last class never occurs, the last frame has no label."""
    rng, count = np.random.default_rng(classes), len(class_set(classes))
    keys = keys or [f"val/{number}" for number in range(frames)]
    confusions, reliability, scores, shown = Confusions(count), Reliability.empty(count), [], {}
    for number, key in enumerate(keys):
        truth = np.sort(rng.integers(0, max(1, count - 1), size), axis=1).astype(np.uint8)
        truth[: size[0] // 4, :4] = IGNORE
        prediction = np.where(rng.random(size) < 0.2 + number / 10, 0, truth % count).astype(np.uint8)
        if number and number == len(keys) - 1:
            truth[:] = IGNORE
        entropy = rng.random(size).astype(np.float32)
        confusions.add(key, confusion(truth, prediction, count))
        reliability = reliability.merge(Reliability.count(truth, prediction, rng.uniform(0.3, 1, size), count))
        scores.append(FrameScore.of(key, confusions[key], float(entropy.mean())))
        image = rng.integers(0, 255, (*size, 3)).astype(np.uint8)
        shown[key] = GalleryFrame(scores[-1], image, prediction, truth, entropy)
    data = ReportData("t", "p", class_set(classes, names))
    drift = measure_drift(domains, domain(0, count, 0.0), domain(1, count, 3.0))
    return dataclasses.replace(
        data,
        models=(EvaluatedModel.measure(model, confusions, 0.0, resamples=20),),
        reliability={model: reliability},
        gallery=Gallery(model, extremes(scores, per_group), shown, tuple(scores)),
        drift=DriftFindings((drift,), ("validation against target: too few",), ("target: bad.png: damaged",)),
        check=DataCheck(
            "0001-check-00000000",
            (CheckedDomain("source", 10, 10, 1, 0, {"brightness": (0.4, 0.1)}), CheckedDomain("target", 7)),
            ("source: a.png: holds id 77",),
            ("target: two frames look alike",),
            "The target is darker.",
        ),
        left_out=(("Something", "it was not measured"),),
        coarse={model: coarse_scores(data.classes)},
    )


def coarse_scores(classes):
    """Two categories, the first class scored by object; what has no value is there too."""
    return CoarseScores({"things": 0.5, "stuff": None}, 0.5, 1234, {classes.names[0]: 0.1}, 0.1, {"things": 0.25}, 0.25)


def section(html, name):
    return re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)[0]


@pytest.fixture(scope="module")
def full():
    return build(4, frames=7)


@pytest.fixture(scope="module")
def html(full):
    return render(full)


def test_all_sections_are_there_and_need_nothing(html):
    page = Page(html)
    assert page.problems == []
    ids = {attributes["id"] for tag, attributes in page.tags if "id" in attributes}
    assert ids >= SECTIONS | {"left-out"}
    anchors = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert anchors >= SECTIONS and anchors <= ids  # the gallery's links to its frames too
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


@pytest.mark.parametrize("classes", [2, 30, 60])
def test_few_and_many_classes(classes):
    page = Page(render(build(classes)))
    assert page.problems == []
    cells = [attributes for tag, attributes in page.tags if tag == "td" and "--v" in attributes.get("style", "")]
    shown = min(classes - 1, MOST)  # the last class is neither true nor predicted
    assert len(cells) == shown * shown


def test_a_single_frame_and_nothing_labelled():
    assert Page(render(build(3, frames=1))).problems == []
    data = build(3, frames=2)
    bare = np.full((4, 4), IGNORE, np.uint8)
    nothing = Confusions(3, [("k", confusion(bare, np.zeros_like(bare), 3))])
    score = FrameScore.of("k", nothing["k"], 0.5)
    frame = GalleryFrame(score, np.zeros((4, 4, 3), np.uint8), np.zeros_like(bare), bare, np.ones((4, 4), np.float32))
    page = Page(
        render(
            dataclasses.replace(
                data,
                models=(EvaluatedModel.measure("model", nothing, 0.0, resamples=5),),
                reliability={"model": Reliability.empty(3)},
                gallery=Gallery("model", extremes([score], 2), {"k": frame}, (score,)),
            )
        )
    )
    assert page.problems == []
    assert not [1 for _, attributes in page.tags if attributes.get("id") == "reliability"]
    assert "1 without any labelled pixel has no score" in page.text and "no labelled pixel; entropy 0.50" in page.text


def test_hostile_names_stay_text():
    plain = build(3, frames=4)
    keys = [f"{EVIL}{number}" for number in range(4)]
    evil = build(3, frames=4, names=[EVIL, f"_{EVIL}", "c"], keys=keys, model=EVIL, domains=(EVIL, f"x{EVIL}"))
    check = DataCheck(EVIL, (CheckedDomain(EVIL, 1, light={EVIL: (0.5,)}),), (EVIL,), (EVIL,), EVIL)
    drift = dataclasses.replace(evil.drift, left_out=(EVIL,), refused=(EVIL,))
    html = render(dataclasses.replace(evil, check=check, drift=drift, left_out=((EVIL, EVIL),)))
    page = Page(html)
    assert page.problems == []
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in Page(render(plain)).tags}
    assert page.text.count(EVIL) > 30 and "<img src=x" not in html
    ids = [attributes["id"] for tag, attributes in page.tags if tag in ("section", "article") and "id" in attributes]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z]+(-[a-z0-9]+)?", name) for name in ids)


def test_categories_and_objects_are_told(full, html):
    told = section(html, "coarse")
    iou = full.models[0].scores.iou_C[0]
    for text in (
        "<td>50.0</td><td>10.0</td><td>25.0</td>",
        ">things</th><td>50.0</td><td>25.0</td>",
        ">stuff</th><td>–",
    ):
        assert text in told
    assert f"its iIoU is {100 * (iou - 0.1):.1f} points below its IoU" in told and "1\u202f234 objects" in told
    bare = dataclasses.replace(full, coarse={})
    assert 'id="coarse"' not in render(bare) and "#coarse" not in render(bare)


def test_an_evaluation_without_categories_or_objects_has_no_such_scores():
    assert CoarseScores.of({"miou": 0.5}) is None
    only = CoarseScores.of({"category_iou": {"flat": 0.5}, "category_miou": 0.5, "miou": 0.4})
    assert (only.category_miou, only.objects, only.miiou) == (0.5, 0, None)


def test_matrix_holds_the_shares_of_each_row(full, html):
    matrix = confusion_matrix(full.models[0], full.classes)
    assert [row.name for row in matrix.rows] == ["class 0", "class 1", "class 2"]  # class 3 occurs nowhere
    counts = full.models[0].confusions.total()
    for truth, row in enumerate(matrix.rows):
        assert [cell.share for cell in row.cells] == pytest.approx(counts[truth, :3] / counts[truth].sum())
        assert [cell.right for cell in row.cells].index(True) == truth
    share = counts[1, 0] / counts[1].sum()
    assert f"class 1 → class 0 {100 * share:.0f} %" in Page(section(html, "mixups")).text


def test_a_class_that_is_only_predicted_has_an_empty_row_and_missing_predictions_a_column():
    truth, prediction = np.zeros((2, 2), np.uint8), np.array([[0, 1], [IGNORE, 0]], np.uint8)
    model = EvaluatedModel.measure("m", Confusions(3, [("k", confusion(truth, prediction, 3))]), 0.0, resamples=5)
    matrix = confusion_matrix(model, class_set(3))
    assert [name for name, _ in matrix.heads] == ["class 0", "class 1", "nothing"]
    assert [cell.share for cell in matrix.rows[0].cells] == [0.5, 0.25, 0.25]
    assert np.isnan([cell.share for cell in matrix.rows[1].cells]).all() and matrix.rows[1].pixels == 0


def test_calibration_in_words():
    def said(right, confidence):
        truth = np.where(right, 0, 1).astype(np.uint8)[None]
        counted = Reliability.count(truth, np.zeros_like(truth), np.array([confidence]), 2)
        row = calibration.CalibrationRow("net", counted.curve())
        return row.verdict, calibration.in_words(row)

    verdict, words = said([True, False], [0.9, 0.9])
    assert (
        verdict == "too sure" and "right 50.0 % of the time" in words and "40.0 points surer than it is right" in words
    )
    verdict, words = said([True, True], [0.9, 0.9])
    assert verdict == "too modest" and "by 10.0 points" in words
    assert "nowhere more than 80 % sure" in said([True, False], [0.5, 0.5])[1]
    assert said([True] * 9 + [False], [0.9] * 10) == (
        "about right on average",
        "Where net is at least 80 % sure, on 100\N{NO-BREAK SPACE}% of the pixels, it is right 90.0 % of the time. "
        "Its confidence can be taken at its word.",
    )


def test_classes_least_to_be_believed():
    prediction = np.repeat(np.array([0, 1, 2], np.uint8), 100)[None]
    truth = prediction.copy()
    truth[0, 100:150] = 0  # half of class 1 is wrong, class 2 is right
    counted = Reliability.count(truth, prediction, np.full(prediction.shape, 0.95), 4)
    found = calibration.least_trusted(counted, class_set(4))
    assert [trust.name for trust in found] == ["class 1", "class 0", "class 2"]
    assert found[0].accuracy == 0.5 and found[0].confidence == pytest.approx(0.95, abs=1e-6)


def test_each_frame_is_shown_once_and_linked(full, html):
    groups = gallery.gallery_groups(full.gallery, full.models[0].confusions, full.classes)
    places = [place for group in groups for place in group.places]
    assert sum(place.panels is not None for place in places) == len({place.key for place in places})
    assert [group.title for group in groups] == ["Worst", "Best", "Most uncertain"]
    assert tuple(place.key for place in groups[0].places) == full.gallery.groups.worst
    part = section(html, "gallery")
    assert part.count("<img ") == 5 * len({place.key for place in places})
    assert all(f'id="{place.anchor}"' in part for place in places)
    worst = full.gallery.frames[full.gallery.groups.worst[0]]
    text = Page(part).text
    assert f"mIoU {100 * worst.score.miou:.1f} %" in text and "most lost: class" in text


def test_a_frame_of_the_gallery_that_is_gone_costs_only_itself(full):
    lost = full.gallery.groups.worst[0]
    frames = {key: frame for key, frame in full.gallery.frames.items() if key != lost}
    page = Page(render(dataclasses.replace(full, gallery=dataclasses.replace(full.gallery, frames=frames))))
    assert page.problems == [] and lost not in page.text.split("worth a look")[1]


def test_large_frames_stay_small():
    big = build(19, frames=13, size=(256, 512), per_group=4)  # noise: the worst that compression can meet
    assert len(render(big).encode()) < 10_000_000


def test_drift_says_how_far_why_and_since_when(full, html):
    card = drift_card(full.drift.pairs[0], full.classes)
    assert card.tone == "bad" and "times as far as two halves of the source" in card.sentence
    assert "target is brighter" in card.sentence and "harder for it to decide on" in card.sentence
    text = Page(section(html, "drift")).text
    assert card.score in text and card.basis in text
    assert "Not measured: validation against target" in text and "Refused: target: bad.png" in text
    same = measure_drift(("source", "target"), domain(0, 4, 0.0), domain(5, 4, 0.0))
    calm = drift_card(same, full.classes)
    assert calm.tone == "good" and "no more unlike" in calm.sentence


def test_data_section(full, html):
    text = Page(section(html, "data")).text
    for words in ("looked at 17 frames", "set 1 aside", "found 1 problem (", "The target is darker.", "holds id 77",
                  "two frames look alike", "0.40 ± 0.10"):  # fmt: skip
        assert words in text, words
    assert check_words(DataCheck("s")) == "The check looked at the data and found no problem (s)."
    many = dataclasses.replace(full, check=dataclasses.replace(full.check, problems=tuple(f"p{n}" for n in range(50))))
    text = Page(section(render(many), "data")).text
    assert "and 30 more, in 0001-check-00000000" in text and "p20" not in text


def test_what_is_left_out_is_said_with_the_reason(html):
    assert "Something it was not measured" in Page(section(html, "left-out")).text


def test_the_same_data_give_the_same_page(full, html):
    assert render(full) == html


def test_a_map_of_another_size_is_refused(full):
    frame = next(iter(full.gallery.frames.values()))
    with pytest.raises(DataError, match="prediction is"):
        dataclasses.replace(frame, prediction=np.zeros((3, 3), np.uint8))
