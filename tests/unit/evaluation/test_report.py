"""The page: holds everything, needs nothing from outside, and never runs what somebody wrote into a name."""

import dataclasses
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import DataError
from frugalseg.core.records import Point, Query, QueryKind
from frugalseg.evaluation.compare import CurvePoint
from frugalseg.evaluation.report import ReportData, Role, ShownFrame, StageRecord, render, write_report

EVIL = "<img src=x onerror=alert(1)>\"'--></style></title><script>alert(2)</script>{{ 7*7 }}&amp;"
LINKS = {"src", "href", "xlink:href", "data", "action", "srcset", "poster"}
VOID = {"meta", "img", "link", "br", "hr", "input", "source", "base"}


class Page(HTMLParser):
    """Reads a page as a browser does: tags with attributes, text, and what is wrong with it."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.words, self.styles, self.problems, self.stack = [], [], [], [], []
        self.feed(html)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))
        self.problems += [f"<{tag}> left open" for tag in self.stack]

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        for name, value in attributes:
            if name.startswith("on"):
                self.problems.append(f"<{tag} {name}>")
            if name in LINKS and not value.startswith(("data:image/", "#")):
                self.problems.append(f"<{tag} {name}={value[:40]}>")
            if name == "style" or tag != "svg" and "url(" in (value or ""):
                self.check_style(value)
        if tag in {"script", "iframe", "object", "embed", "link", "base", "form", "video", "audio"}:
            self.problems.append(f"<{tag}>")

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "style":
            self.check_style(data)
        else:
            self.words.append(data)

    def check_style(self, style):
        if re.search(r"@import|url\(\s*[\"']?(?!#|data:)|expression\(", style):
            self.problems.append(f"style {style[:60]}")


@pytest.fixture(scope="module")
def html(data):
    return render(data)


@pytest.mark.parametrize(
    "bad",
    [
        "<img src='http://x/y.png'>",
        "<a href='https://x'>x</a>",
        "<style>@import 'x.css';</style>",
        "<p style='background: url(x.png)'></p>",
        "<script>1</script>",
        "<p onclick='1'></p>",
        "<svg><image href='//x/y.png'></image></svg>",
        "<p><b></p>",
    ],
)
def test_the_checker_sees_what_it_is_there_for(bad):
    assert Page(bad).problems


def test_the_page_needs_nothing_and_runs_nothing(html):
    page = Page(html)
    assert page.problems == []
    assert "http:" not in html and "https:" not in html and "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    policies = [tag for tag in page.tags if tag[0] == "meta" and tag[1].get("http-equiv") == "Content-Security-Policy"]
    assert policies[0][1]["content"].startswith("default-src 'none'; img-src data:;")


def test_every_section_is_there(html, data):
    page = Page(html)
    ids = {attributes["id"] for tag, attributes in page.tags if tag == "section"}
    assert ids == {
        "curve",
        "selection-paid",
        "models",
        "classes",
        "mixups",
        "questions",
        "predictions",
        "ledger",
        "stages",
        "environment",
    }
    anchors = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert anchors <= ids and len(anchors) == 9
    for words in ("Toy city", "50points/image", "Answers were simulated.", "frugalseg adapt 'my city'", "1 May 2026",
                  "rounds = 3", 'name = "x"', "seed 7", "ab12", "val_0", "frequent (2)", "upper bound"):  # fmt: skip
        assert words in page.text, words
    for name in (*data.classes.names, *(model.name for model in data.models)):
        assert name in page.text


def test_the_page_says_its_language_has_one_heading_and_names_its_pictures(html):
    page = Page(html)
    assert html.lstrip().startswith("<!doctype html>")
    assert ("html", {"lang": "en"}) in page.tags
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    # a frame has 2 panels among the questions; photo, truth, 3 steps and what changed among the predictions
    assert len(pictures) == 2 * (2 + 6)
    assert all(picture["alt"] and picture["width"] == "64" and picture["height"] == "48" for picture in pictures)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_numbers_on_the_page_are_the_scores(html, data):
    text = Page(html).text
    for model in data.models:
        assert f"{100 * model.miou.value:.1f} {100 * model.miou.low:.1f}–{100 * model.miou.high:.1f}" in text
        assert f"{100 * model.scores.pixel_accuracy:.1f}" in text


def test_cells_points_and_verdicts_are_drawn(html):
    page = Page(html)
    assert sum(attributes.get("class") == "cell" for _, attributes in page.tags) == 2 * 2  # on photo and entropy
    for title in (
        "car, 3 s",
        "boundary or mixed pixel, 3 s",
        "none of the classes, 3 s",
        "skipped, 3 s",
        "not answered yet",
    ):
        assert html.count(f"<title>{title}</title>") == 2, title


def test_hostile_names_stay_text(made, tmp_path):
    plain = made.report()
    evil = made.report(names=(EVIL, f"$\\frac{{{EVIL}", "road", "car", "tram"), title=EVIL, label=EVIL)
    frame = dataclasses.replace(evil.frames[0], key=EVIL)
    stage = StageRecord(EVIL, ("frugalseg", EVIL, "\udcff"), {EVIL: EVIL, "path": tmp_path}, 0, 1.0, 0.0, EVIL)
    curve = (CurvePoint(0, 0.3, 0.2, 0.4, EVIL, EVIL), CurvePoint(1, 0.4, 0.3, 0.5, "$x^2$ </text><script>", "</svg>"))
    evil = dataclasses.replace(
        evil, project=EVIL, frames=(frame, evil.frames[1]), stages=(stage,), curve=curve, environment={EVIL: EVIL},
        budget=EVIL, notes=(EVIL,), created=EVIL, ledger=(dataclasses.replace(evil.ledger[0], what=EVIL),),
    )  # fmt: skip
    write_report(tmp_path / "report.html", evil)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.problems == []
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in Page(render(plain)).tags}
    assert page.text.count(EVIL) > 15 and "$x^2$ </text><script>" in page.text
    assert "\\udcff" in page.text  # a byte of the command line that was no text


def test_the_same_data_give_the_same_page(html, made):
    assert render(made.report()) == html


def test_file_is_utf8_and_moderate_in_size(made, tmp_path):
    big = made.report(size_HW=(360, 480), frames=6, shown=6)
    write_report(tmp_path / "report.html", big)
    content = (tmp_path / "report.html").read_bytes()
    assert content.decode() == render(big)
    assert 100_000 < len(content) < 6_000_000


def bare_classes():
    return ClassSet("two", (SemanticClass("a", (0, 0, 0), (0,)), SemanticClass("b", (255, 255, 255), (1,))))


def test_a_report_of_nothing_still_says_what_it_lacks():
    page = Page(render(ReportData("Empty", "p", bare_classes())))
    assert page.problems == []
    assert "nothing is scored" in page.text
    assert not [tag for tag, _ in page.tags if tag in {"section", "img", "table"}]


def test_predictions_can_be_shown_without_any_label():
    frame = ShownFrame("f", np.zeros((20, 30), np.uint8), predictions={"m": np.zeros((20, 30), np.uint8)})
    page = Page(render(ReportData("t", "p", bare_classes(), frames=(frame,))))
    assert page.problems == []
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == ["predictions"]
    assert sum(tag == "img" for tag, _ in page.tags) == 2


def test_a_single_model_has_no_before_and_after(data):
    alone = dataclasses.replace(data, models=data.models[:1], curve=())
    page = Page(render(alone))
    assert page.problems == []
    assert "before" not in page.text.split("Where we asked")[0] and "gain" not in page.text.split("Models")[0]


def test_a_control_alone_is_listed_but_tells_no_story(data):
    controls = tuple(model for model in data.models if model.role is Role.CONTROL)
    page = Page(render(dataclasses.replace(data, models=controls)))
    assert page.problems == [] and "nothing is scored" in page.text


def test_records_refuse_what_does_not_fit(data):
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(DataError, match="frame k: truth is"):
        ShownFrame("k", image, truth=np.zeros((6, 4), np.uint8))
    with pytest.raises(DataError, match="frame k: m is"):
        ShownFrame("k", image, predictions={"m": np.zeros((4, 5), np.uint8)})
    with pytest.raises(DataError, match="query q asks about"):
        ShownFrame("k", image, queries=(Query("q", "k", QueryKind.POINT, "s", 0.0, Point(4, 0)),))
    with pytest.raises(DataError, match="must differ"):
        dataclasses.replace(data, models=(data.models[0], data.models[0]))
    with pytest.raises(DataError, match="scored over 5 classes, the project has 2"):
        dataclasses.replace(data, classes=bare_classes())


def test_importing_evaluation_is_cheap_and_without_torch():
    heavy = ["torch", "lightning", "matplotlib", "jinja2", "pyarrow", "pandas", "sklearn"]
    program = f"import frugalseg.evaluation.report, sys; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_rendering_leaves_matplotlib_as_it_was(data):
    import matplotlib

    before = dict(matplotlib.rcParams)
    render(data)
    assert dict(matplotlib.rcParams) == before
