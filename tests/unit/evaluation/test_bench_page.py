"""Tables and pages of comparisons, from invented counts: the numbers by hand, losers and failures in their place."""

import math
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.errors import DataError
from frugalseg.evaluation.bench_page import GridPage, render_bench, render_grid, verdict, write_bench_page
from frugalseg.evaluation.bench_table import BenchData, BenchMethod, BenchRun, bench_rows, choices
from frugalseg.evaluation.bench_text import bench_json, bench_markdown
from frugalseg.evaluation.compare import paired_bootstrap, paired_bootstrap_mean
from frugalseg.evaluation.confusion import Confusions
from frugalseg.evaluation.label_free import Judgement

CLASSES = ClassSet("two", (SemanticClass("<road>", (9, 9, 9), (0,)), SemanticClass("a|b", (0, 0, 9), (1,))))
QUALITY = {"source_only": (60, 50), "better": (80, 75), "worse": (40, 30)}  # right pixels of 100, by seed


def counts(right: int, frames: int = 8) -> Confusions:
    """Frames of which about `right` of 100 pixels of each class are right; IoU = right / (200 - right)."""
    found = Confusions(2)
    for number in range(frames):
        own = right + (5 if number % 2 else -5)
        found.add(f"f{number}", np.array([[own, 100 - own, 0], [100 - own, own, 0]], np.int64))
    return found


def iou(right: int) -> float:
    return right / (200 - right)


def make(judged: bool = True) -> BenchData:
    methods = []
    for name, quality in QUALITY.items():
        runs = tuple(
            BenchRun(
                seed=seed,
                confusions=counts(right),
                wall_s=10.0 + seed,
                cpu_s=20.0,
                process_bytes=(100 + seed) << 20,
                judgement=Judgement(1 - right / 100, right / 100, {"a": 0.5}, 0.5, 0.4) if judged else None,
            )
            for seed, right in enumerate(quality)
        )
        methods.append(BenchMethod(name, f"{name}, <b>in words</b>", 600, runs, own={"lr": 0.1}))
    methods[-1] = BenchMethod("worse", "half of it failed", 600, methods[-1].runs[:1], {1: "Out of <memory>.\nSorry."})
    methods.append(BenchMethod("broken", "never ran", 600, (), {0: "no", 1: "no"}))
    shared = {"batch_size": 2}
    return BenchData("city & co", "net", CLASSES, (0, 1), tuple(methods), shared, command=("frugalseg", "bench"))


def test_means_spreads_and_gains_by_hand() -> None:
    rows = {row.method.name: row for row in bench_rows(make())}
    assert list(rows) == ["source_only", "better", "worse"], "who loses stays"
    source, better = rows["source_only"], rows["better"]
    assert source.gain is None and source.gains is None
    assert better.miou.mean == pytest.approx((iou(80) + iou(75)) / 2)
    assert better.miou.sd == pytest.approx(abs(iou(80) - iou(75)) / math.sqrt(2))
    by_seed = [iou(80) - iou(60), iou(75) - iou(50)]
    assert [gain.value for gain in better.gains.values()] == pytest.approx(by_seed)
    assert better.gain.value == pytest.approx(sum(by_seed) / 2)
    assert better.gain_sd == pytest.approx(abs(by_seed[0] - by_seed[1]) / math.sqrt(2))
    assert (better.wall_s, better.process_bytes) == (10.5, 101 << 20)
    assert better.iou_C == pytest.approx((better.miou.mean,) * 2)


def test_a_failed_seed_is_left_out_of_means_and_named() -> None:
    data = make()
    row = bench_rows(data)[2]
    assert row.miou.mean == pytest.approx(iou(40)) and row.miou.sd == 0
    assert list(row.gains) == [0]
    text, page = bench_markdown(data), render_bench(data)
    assert "* worse, seed 1: Out of <memory>. Sorry." in text
    assert "| broken | 600 | failed |" in text
    assert "Out of &lt;memory&gt;." in page and "<memory>" not in page


def test_the_interval_over_seeds_is_that_of_the_same_resamples() -> None:
    pairs = [(counts(60), counts(80)), (counts(50), counts(55))]
    both = paired_bootstrap_mean(pairs)
    single = [paired_bootstrap(*pair) for pair in pairs]
    assert both.value == pytest.approx(np.mean([one.value for one in single]))
    assert paired_bootstrap_mean(pairs[:1]) == single[0]
    assert paired_bootstrap_mean([pairs[0], pairs[0]]).low == pytest.approx(single[0].low)
    with pytest.raises(DataError):
        paired_bootstrap_mean([pairs[0], (counts(50, frames=3), counts(55, frames=3))])


def test_the_choice_goes_by_the_score_and_names_the_truth() -> None:
    data = make()
    first, second = choices(data)
    assert (first.chosen, first.best, first.correlation) == ("better", "better", pytest.approx(1.0))
    assert set(second.scores) == {"source_only", "better"}, "what failed with this seed is no candidate"
    assert second.correlation is None
    assert choices(make(judged=False)) == ()


def test_json_and_markdown_hold_the_same_numbers() -> None:
    data = make()
    found = bench_json(data)
    better = found["methods"][1]
    assert better["miou"] == pytest.approx((iou(80) + iou(75)) / 2)
    assert found["methods"][3] == {
        "method": "broken",
        "steps": 600,
        "own": {},
        "failed": {"0": "no", "1": "no"},
    }
    text = bench_markdown(data)
    assert f"| better | 600 | {100 * better['miou']:.1f} ± " in text
    assert "| method | <road> | a\\|b |" in text


def test_the_page_is_whole_escaped_and_repeatable(tmp_path: Path) -> None:
    data = make()
    page = render_bench(data)
    assert page == render_bench(data)
    assert page.count("<svg") == 3
    assert "&lt;road&gt;" in page and "<road>" not in page and "<b>in words" not in page
    assert "<script" not in page and "better is ahead" in page
    write_bench_page(tmp_path / "page.html", data)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


def test_the_verdict_is_honest_where_nothing_helps() -> None:
    data = make()
    losing = BenchData("city", "net", CLASSES, (0, 1), (data.methods[0], data.methods[2]), {})
    assert verdict(losing, bench_rows(losing)) == "No method is better than source_only here."
    nothing = BenchData("city", "net", CLASSES, (0, 1), (data.methods[3],), {})
    assert verdict(nothing, bench_rows(nothing)) == "Nothing finished that could be compared."
    assert "Nothing finished" in render_bench(nothing) and "broken" in bench_markdown(nothing)


def test_a_grid_with_gaps_is_drawn() -> None:
    panels = {"cbst": {"0.2/0.05": [[0.3, 0.32], [0.35, 0.36]], "0.1/0.1": [[], []]}}
    page = render_grid(GridPage("city", "net", (0, 1), panels, {}, {"cbst 0.1/0.1, seed 0": "no"}))
    assert "31.0 ± 1.4" in page and page.count("<svg") == 2 and "cbst 0.1/0.1, seed 0" in page
