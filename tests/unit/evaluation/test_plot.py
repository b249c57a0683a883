"""The curve: in the page's colours, every point named and in place, names as they were written."""

import math
import re
from xml.etree import ElementTree

import pytest

from frugalseg.evaluation.compare import CurvePoint
from frugalseg.evaluation.plot import curve_svg

WIDE = (11.0, 4.6)


def point(minutes, miou, name, series="ours", half=0.02):
    return CurvePoint(minutes, miou, miou - half, miou + half, name, series)


def texts(svg):
    return {element.text: element for element in ElementTree.fromstring(svg).iter("text")}


def markers(svg):
    return [(float(x), float(y)) for x, y in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', svg)]


POINTS = [point(0, 0.37, "source only"), point(0, 0.40, "cbst"), point(25, 0.49, "point_da")]


def test_it_takes_colours_from_the_page_and_leaks_no_style():
    svg = curve_svg(POINTS, WIDE, "a")
    assert "var(--ink)" in svg and "var(--blue)" in svg
    assert "<style" not in svg and "<metadata" not in svg and "http" not in svg
    assert not re.search(r": #0[ab]000\d", svg)
    assert svg.startswith("<svg role") and svg.endswith("</svg>")


def test_all_points_are_named_and_lie_in_their_order():
    svg = curve_svg(POINTS, WIDE, "a")
    assert {"source only", "cbst", "point_da", "0", "25 min", "mIoU, %"} <= set(texts(svg))
    (x0, y0), (x1, y1), (x2, y2) = markers(svg)
    assert x0 < x1 < x2  # the second steps aside, for its interval would cover the first's
    assert y0 > y1 > y2


def test_clicks_beside_whole_masks_use_a_logarithmic_axis_and_say_so():
    svg = curve_svg([*POINTS, point(22_875, 0.55, "all labels", "full")], WIDE, "a")
    assert "people's time (logarithmic)" in texts(svg)
    assert "people's time" in texts(curve_svg(POINTS, WIDE, "a"))
    x = [x for x, _ in markers(svg)]
    assert x[2] - x[0] > 60  # 25 minutes are not squeezed into zero by 381 hours


def test_series_differ_in_colour_and_shape():
    svg = curve_svg([point(0, 0.3, "a"), point(5, 0.4, "b"), point(5, 0.38, "c", "random")], WIDE, "a")
    assert "var(--orange)" in svg
    shapes = re.findall(r'<use href="(#[^"]+)"', svg)
    assert len(set(shapes)) == 2 and shapes[0] == shapes[1] != shapes[2]


def test_names_are_text_never_formulas_or_tags():
    names = ["$\\frac{1}{2}$", "$unbalanced", "<b>&amp;", "#0a0001", "図と\u202eevil"]
    svg = curve_svg([point(number, 0.3 + number / 20, name) for number, name in enumerate(names)], WIDE, "a")
    assert set(names) <= set(texts(svg))


def test_many_points_bear_only_their_series_name():
    crowd = [point(number, 0.3 + number / 100, f"round {number}") for number in range(8)]
    svg = curve_svg([*crowd, *(point(p.human_minutes, p.miou - 0.05, p.name, "random") for p in crowd)], WIDE, "a")
    assert {"ours", "random"} <= set(texts(svg)) and "round 3" not in texts(svg)


def test_names_of_one_place_do_not_cover_each_other():
    svg = curve_svg([point(5, 0.4 + number / 1000, f"model {number}") for number in range(4)], WIDE, "a")
    places = [(element.get("style"), float(element.get("x")), float(element.get("y")))
              for text, element in texts(svg).items() if text.startswith("model")]  # fmt: skip
    for index, (style, x, y) in enumerate(places):
        for other_style, other_x, other_y in places[index + 1 :]:
            opposite = ("end" in style.split("text-anchor")[-1]) != ("end" in other_style.split("text-anchor")[-1])
            assert abs(y - other_y) > 9 or opposite or abs(x - other_x) > 60


def test_two_drawings_on_one_page_share_no_id_and_one_is_reproducible():
    first, second = curve_svg(POINTS, WIDE, "wide"), curve_svg(POINTS, (4.8, 4.4), "narrow")
    clips = [set(re.findall(r'id="(p[0-9a-f]{10})"', svg)) for svg in (first, second)]
    assert clips[0] and not clips[0] & clips[1]
    assert curve_svg(POINTS, WIDE, "wide") == first


@pytest.mark.parametrize(
    "points",
    [
        [point(0, 0.4, "only one")],
        [point(0, 0.4, "a"), point(0, 0.4, "a")],
        [CurvePoint(3, 0.4, math.nan, math.nan, "no interval")],
        [point(0.01, 0.999, "seconds", half=0.0), point(500_000, 0.001, "years")],
        [point(3, 0.4, "n" * 300)],
    ],
)
def test_odd_curves_are_drawn(points):
    svg = curve_svg(points, WIDE, "a")
    assert len(markers(svg)) == len(points)
    assert "nan" not in svg.lower()


def test_without_a_score_there_is_no_drawing():
    assert curve_svg([], WIDE, "a") == ""
    assert curve_svg([CurvePoint(1, math.nan, math.nan, math.nan, "x")], WIDE, "a") == ""
