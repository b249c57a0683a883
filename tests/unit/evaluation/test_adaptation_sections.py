"""The report's sections on adaptation: IntraDA's ranking, and the spatial priors of self-training."""

import base64
import dataclasses
import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import DataError
from frugalseg.evaluation.exhibits import RANKED, Ranking, SpatialPriors
from frugalseg.evaluation.prior_maps import absent, heat_palette, prior_panels
from frugalseg.evaluation.ranking import _edges, ranking_panels
from frugalseg.evaluation.report import ReportData, render

EVIL = "<img src=x onerror=alert(1)>\"'</style>{{ 7*7 }}$&amp;"


def _load_page():
    spec = importlib.util.spec_from_file_location("report_page", Path(__file__).with_name("test_report.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Page


Page = _load_page()


def class_set(*names):
    return ClassSet("few", tuple(SemanticClass(name, (9 * n, 0, 0), (n,)) for n, name in enumerate(names)))


def make_ranking(many, easy, prefix="frame"):
    keys = tuple(f"{prefix}{number}" for number in range(many))
    ranking = Ranking("0003-adapt-intrada", keys, np.linspace(0.1, 0.5, many), easy)
    shown = {keys[place] for places in ranking.ends for place in places}
    return dataclasses.replace(ranking, images={key: np.zeros((6, 8, 3), np.uint8) for key in shown})


def make_priors(*names):
    """The first class lies in the upper left, the last one nowhere, those between evenly."""
    prior = np.full((len(names), 4, 8), 1 / 32, np.float32)
    prior[0] = prior[-1] = 0
    prior[0, :2, :2] = 0.25
    return SpatialPriors("0002-adapt-cbst_sp", prior, class_set(*names))


def page_of(ranking=None, priors=None):
    return Page(render(ReportData("t", "p", class_set("a", "b"), ranking=ranking, priors=priors)))


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"), int)


@pytest.mark.parametrize(("many", "easy", "shown"), [(30, 20, RANKED), (5, 3, 2), (2, 1, 1)])
def test_the_ends_are_as_many_on_both_sides_and_never_meet(many, easy, shown):
    ranking = make_ranking(many, easy)
    first, last = ranking.ends
    assert [*first] == [*range(shown)]
    assert [*last] == [many - 1 - number for number in range(shown)]
    assert not {*first} & {*last}
    assert [len(panels) for _, panels in ranking_panels(ranking)] == [shown, shown]
    assert page_of(ranking).problems == []


def test_the_cut_lies_between_the_last_easy_frame_and_the_first_hard_one():
    ranking = Ranking("s", ("a", "b", "c"), np.array([0.1, 0.2, 0.6]), 2)
    assert ranking.cut_01 == pytest.approx(0.4)
    text = page_of(ranking).text
    assert "67 % easy" in text and "from 0.10 to 0.60" in text and "The 2 surest (67 %)" in text


def test_every_frame_is_in_one_bin():
    for values in (np.linspace(0.1, 0.5, 7), np.full(9, 0.3), np.linspace(0, 1, 5000)):
        assert np.histogram(values, _edges(values))[0].sum() == len(values)


@pytest.mark.parametrize(
    ("entropies", "easy"), [([0.2, 0.1, 0.3], 1), ([0.1, 0.2, 0.3], 0), ([0.1, 0.2, 0.3], 3), ([0.1, 0.2], 1)]
)
def test_what_is_no_ranking_is_refused(entropies, easy):
    with pytest.raises(DataError, match="Adapt again"):
        Ranking("s", ("a", "b", "c"), np.array(entropies), easy)


def test_a_prior_is_yellow_where_the_class_is_and_blue_elsewhere():
    (corner, even) = prior_panels(make_priors("sky", "road", "train"))
    heat = pixels(corner.panels[0].uri)
    low, high = heat_palette()[0].astype(int), heat_palette()[-1].astype(int)
    assert abs(heat[:20, :20] - high).max() < 30 and abs(heat[-20:, -20:] - low).max() < 30
    assert heat.shape[1] == 2 * heat.shape[0], "the frame's shape"
    assert abs(pixels(even.panels[0].uri) - high).max() < 30, "an even class is even, and at its own peak everywhere"
    assert (corner.panels[0].caption, even.panels[0].caption) == ("peak 8.0 × even", "peak 1.0 × even")
    assert "25 % down and 12 % to the right" in corner.panels[0].alt


def test_a_class_that_the_source_lacks_is_named_and_has_no_map():
    priors = make_priors("sky", "road", "train")
    assert absent(priors) == ["train"] and [panel.key for panel in prior_panels(priors)] == ["sky", "road"]
    page = page_of(priors=priors)
    assert page.problems == [] and "without pseudo-labels: train" in page.text


def test_priors_of_other_classes_are_refused():
    priors = make_priors("a", "b", "c")
    with pytest.raises(DataError, match="expected 2 classes"):
        dataclasses.replace(priors, classes=class_set("a", "b"))
    with pytest.raises(DataError, match="negative or no numbers"):
        dataclasses.replace(priors, prior_Chw=np.full((3, 2, 2), np.nan, np.float32))


def test_without_them_there_is_neither_section_nor_link():
    page = page_of()
    found = {attributes.get("id") for _, attributes in page.tags} | {
        attributes.get("href") for _, attributes in page.tags
    }
    assert not found & {"ranking", "priors", "#ranking", "#priors"}


def test_hostile_names_stay_text_and_the_page_needs_nothing():
    evil = make_ranking(6, 4, EVIL), make_priors(EVIL, f"x{EVIL}", f"y{EVIL}")
    html = render(ReportData("t", "p", class_set("a", "b"), ranking=evil[0], priors=evil[1]))
    page = Page(html)
    plain = page_of(make_ranking(6, 4), make_priors("a", "b", "c"))
    assert page.problems == [] and {tag for tag, _ in page.tags} == {tag for tag, _ in plain.tags}
    assert "<img src=x" not in html and page.text.count(EVIL) >= 5
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
