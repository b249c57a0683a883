"""The curve over k, drawn by hand: marks lie where their numbers say, names are text, nothing is drawn of nothing."""

from xml.etree import ElementTree

import numpy as np
import pytest

from frugalseg.evaluation.distance_plot import distance_svg

WIDE, NARROW = (11.0, 4.4), (4.8, 8.8)


def drawn(panels, size=WIDE, **how) -> ElementTree.Element:
    return ElementTree.fromstring(distance_svg(panels, "mIoU, %", size, **how))


def marks(svg: ElementTree.Element) -> np.ndarray:
    return np.array([(float(one.get("cx")), float(one.get("cy"))) for one in svg.iter("circle")])


def test_marks_lie_where_their_numbers_say() -> None:
    svg = drawn({"": {"warp": {1: 0.9, 2: 0.8, 4: 0.4}}}, legend=False)
    x, y = marks(svg).T
    assert (x[2] - x[1]) == pytest.approx(2 * (x[1] - x[0]), abs=0.2)
    assert (y[2] - y[1]) == pytest.approx(4 * (y[1] - y[0]), abs=0.2) and y[0] < y[1]
    ticks = {one.text: float(one.get("y")) - 4 for one in svg.iter("text") if one.get("text-anchor") == "end"}
    assert ticks["80"] == pytest.approx(y[1], abs=0.2) and ticks["40"] == pytest.approx(y[2], abs=0.2)


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_panels_share_their_scale_and_lie_beside_or_below_each_other(size) -> None:
    svg = drawn({"one anchor": {"warp": {1: 0.5}}, "two anchors": {"warp": {1: 0.5, 9: 0.7}}}, size, legend=False)
    (x, y), (x_, y_), (_, higher) = marks(svg)
    beside = size == WIDE
    assert (y == y_) == beside and (x == x_) != beside and higher < y_
    assert {"one anchor", "two anchors"} <= {one.text for one in svg.iter("text")}
    width, height = map(float, svg.get("viewBox").split()[2:])
    assert all(0 < float(one.get("x")) < width and 0 < float(one.get("y")) < height for one in svg.iter("text"))


def test_twelve_curves_can_be_told_apart_and_a_name_is_text() -> None:
    names = [f"<b>{number}" for number in range(12)]
    svg = drawn({"": {name: {1: 0.1 * number, 2: 0.5} for number, name in enumerate(names)}})
    assert set(names) <= {one.text for one in svg.iter("text")} and svg.find(".//b") is None
    looks = [(one.get("style"), one.get("stroke-dasharray")) for one in svg.iter("polyline")]
    assert len(looks) == 24 and len(set(looks)) == 12, "each once in the legend, once as a curve"


def test_what_was_not_measured_is_not_drawn() -> None:
    assert distance_svg({}, "x", WIDE) == distance_svg({"": {"a": {}}}, "x", WIDE) == ""
    assert distance_svg({"": {"a": {1: float("nan")}}}, "x", WIDE) == ""
    assert len(marks(drawn({"": {"a": {1: 0.5, 2: float("nan"), 3: 0.5}}}, legend=False))) == 2
