"""The page of `check`: everything on it is escaped and inside it, and what it draws is what it was given."""

import re

import numpy as np

from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.evaluation.data_page import (
    NOBODY,
    NOBODY_COLOR,
    PLOT,
    DataPage,
    PageSet,
    ProblemRow,
    SheetFrame,
    light_plots,
    overlay,
    render,
    verdict,
)

CLASSES = ClassSet("two", (SemanticClass("road", (200, 0, 0), (0,)), SemanticClass("<i>sky</i>", (0, 0, 200), (1,))))
EVIL = "<script>alert(1)</script>"


def frame(key="a", label=None, usable=None, problems=()):
    return SheetFrame(key, np.full((12, 16, 3), 100, np.uint8), label, usable, problems)


def one_set(name="source", labelled=2, sheet=(), brightness=(0.2, 0.4)):
    light = {"brightness": np.array(brightness, np.float32)}
    return PageSet(name, 2, labelled, 0, "12x16", light, np.array([30, 10]), np.array([2, 1]), sheet)


def page(**given):
    fields = {"project": "p", "created": "", "classes": CLASSES, "sets": (one_set(),), "problems": (), "remarks": ()}
    return DataPage(**{**fields, "gap": "", **given})


def test_the_label_lies_over_the_photo_in_its_class_colours():
    label = np.full((12, 16), IGNORE, np.uint8)
    label[0], label[1] = 0, NOBODY
    usable = np.ones((12, 16), bool)
    usable[2] = False
    shown = overlay(frame(label=label, usable=usable), CLASSES)
    assert shown[0, 0].tolist() == [155, 45, 45]  # 0.45 of grey 100, 0.55 of the class
    assert shown[1, 0].tolist() == [round(45 + 0.55 * channel) for channel in NOBODY_COLOR]
    assert shown[2, 0].tolist() == [30, 30, 30]
    assert shown[3, 0].tolist() == [100, 100, 100]


def test_a_label_of_another_size_is_not_laid_over():
    assert (overlay(frame(label=np.zeros((3, 4), np.uint8)), CLASSES) == 100).all()


def test_everything_is_escaped_and_nothing_comes_from_outside():
    problem = ProblemRow(f"title {EVIL}", 3, ((f"{EVIL}.png", f"what {EVIL}"),), f"mend {EVIL}")
    shown = frame(EVIL, np.zeros((12, 16), np.uint8), problems=(EVIL,))
    everything = page(
        project=EVIL,
        gap=EVIL,
        problems=(problem,),
        remarks=(("source", EVIL, True),),
        sets=(one_set(EVIL, sheet=(shown,)),),
        alike=((shown, shown),),
    )
    html = render(everything)
    assert "<script" not in html and "<i>" not in html
    assert re.findall(r'(?:src|href)="(?!data:|#)', html) == []
    assert not re.search(r"url\(|@import", html)
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    assert "… and 2 more, in check.json" in html


def test_the_same_data_give_the_same_page():
    data = page(sets=(one_set(sheet=(frame(),)),))
    assert render(data) == render(data)


def test_frames_with_problems_are_marked_with_the_reason():
    html = render(page(sets=(one_set(sheet=(frame("frame_1", problems=("turned",)), frame("frame_2"))),)))
    assert html.count('class="frame wrong"') == 1
    assert html.index("turned") < html.index("frame_2")


def test_a_set_without_labels_or_images_has_no_empty_table_or_plot():
    html = render(page(sets=(one_set(labelled=0, brightness=()),)))
    assert 'id="classes"' not in html and 'id="look"' not in html
    assert "no labels" in html


def test_plots_share_one_scale_and_mark_the_means():
    (plot,) = light_plots((one_set(brightness=(0.0, 0.2)), one_set("target", brightness=(0.8, 1.0))))
    (name, _, _, first), (_, _, _, second) = plot.lines
    assert (name, plot.title, plot.low, plot.high) == ("source", "brightness", "-0.05", "1.05")
    assert [round(place / PLOT.width, 3) for place in (first, second)] == [round(0.15 / 1.1, 3), round(0.95 / 1.1, 3)]


def test_equal_frames_have_a_plot_too():
    (plot,) = light_plots((one_set(brightness=(0.5, 0.5)),))
    assert plot.lines[0][3] == PLOT.width / 2
    assert "nan" not in plot.lines[0][2]


def test_the_verdict_counts():
    assert verdict(page()) == "No problem in 2 frames."
    assert verdict(page(remarks=(("a", "b", True), ("a", "c", False)))).endswith("1 thing to think about.")
    row = ProblemRow("t", 1, (), "")
    assert verdict(page(problems=(row,))) == "1 file to be mended, for 1 reason, in 2 frames."
