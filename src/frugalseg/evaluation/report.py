"""The report: one HTML file that needs nothing else. No script, no font, no picture from anywhere but the file itself.

Every text in it is escaped, whoever wrote it, and the page's own policy forbids scripts and network besides.
"""

from pathlib import Path
from typing import Any

from frugalseg.core.records import Verdict
from frugalseg.evaluation import calibration, coarse, panels, pictures, round_words, tables
from frugalseg.evaluation.chosen_images import chosen_panels, chosen_words, map_svg, map_words
from frugalseg.evaluation.confusion_table import confusion_matrix
from frugalseg.evaluation.drift_words import drift_card
from frugalseg.evaluation.exhibits import ChosenImages, check_words
from frugalseg.evaluation.gallery import GalleryGroup, gallery_groups, spread
from frugalseg.evaluation.page import fill, write_html
from frugalseg.evaluation.plot import curve_svg
from frugalseg.evaluation.prior_maps import absent, heat_palette, prior_panels
from frugalseg.evaluation.ranking import ranking_panels, ranking_svg, ranking_words
from frugalseg.evaluation.reliability import BINS
from frugalseg.evaluation.reliability_plot import reliability_svg
from frugalseg.evaluation.report_data import EvaluatedModel, LedgerRow, ReportData, Role, ShownFrame, StageRecord

__all__ = ["EvaluatedModel", "LedgerRow", "ReportData", "Role", "ShownFrame", "StageRecord", "render", "write_report"]

WIDE_IN, NARROW_IN = (11.0, 4.6), (4.8, 4.4)  # the curve on a desk and on a phone
LOW_IN = (11.0, 3.6)  # a histogram on a desk
MAP_IN = (11.0, 6.0)  # a map on a desk
SQUARE_IN = (5.6, 5.6)  # the reliability diagram on a desk
MOST_LINES = 20  # problems and remarks of `check`; the rest stands on its own page


def write_report(path: Path, data: ReportData) -> None:
    """Write the report as one self-contained HTML file."""
    write_html(path, render(data))


def render(data: ReportData) -> str:
    """Return the report's HTML; the same data give the same text."""
    return fill("report.html.j2", _context(data))


def _context(data: ReportData) -> dict[str, Any]:
    """Everything the template names."""
    from markupsafe import Markup

    gain = tables.gain_of(data)
    questions = [panels.question_panels(frame, data.classes) for frame in data.frames]
    predictions = [panels.prediction_panels(frame, data.classes) for frame in data.frames]
    return {
        "data": data,
        "verdict": tables.verdict(data, gain),
        "tiles": tables.tiles(data, gain),
        "curves": [
            Markup(curve_svg(data.curve, size, name)) for size, name in ((WIDE_IN, "wide"), (NARROW_IN, "narrow"))
        ],
        "model_rows": tables.model_rows(data),
        "subset_titles": [tables.subset_title(data, name) for name in data.classes.subsets],
        "class_rows": tables.class_rows(data),
        "mixup_rows": tables.mixup_rows(data.steps[-1], data.classes) if data.steps else (),
        "mixup_floor": tables.MIXUP_FLOOR,
        "questions": [frame for frame in questions if frame],
        "predictions": [frame for frame in predictions if frame],
        "legend": list(zip(data.classes.names, map(panels.css_color, data.classes.colors), strict=True)),
        "said": {verdict: said for verdict, said in panels.SAID.items() if verdict != Verdict.MASK},
        "change_colors": [panels.css_color(color) for color in pictures.CHANGE_COLORS],
        "entropy_stops": [panels.css_color(color) for color in pictures.entropy_palette()[::15]],
        "unknown": tables.UNKNOWN,
        "ledger_total": tables.ledger_total(data.ledger),
        "total_wall_s": sum(stage.wall_s for stage in data.stages),
        **_model_sections(data),
        **_data_sections(data),
        **_adaptation_sections(data),
        **_chosen_section(data.chosen),
        **_coarse_section(data),
        "round_rows": round_words.round_rows(data),
        "selection_words": round_words.selection_words(data),
        "unsure_classes": round_words.unsure_classes(data),
    }


def _model_sections(data: ReportData) -> dict[str, Any]:
    """What the template names of the last model: confusions, calibration, gallery."""
    from markupsafe import Markup

    after = data.steps[-1] if data.steps else None
    rows = calibration.calibration_rows(data)
    told = [row for row in rows if after is not None and row.name == after.name]
    compared = [row for row in rows if data.steps and row.name == data.steps[0].name and row not in told] + told
    diagrams = [
        Markup(reliability_svg([row.curve for row in compared], size, f"reliability-{name}"))
        for size, name in ((SQUARE_IN, "wide"), (NARROW_IN, "narrow"))
    ]
    return {
        "matrix": confusion_matrix(after, data.classes) if after is not None else None,
        "calibration_rows": rows if told else (),
        "calibration_words": calibration.in_words(told[0]) if told else "",
        "diagrams": diagrams,
        "compared": [row.name for row in reversed(compared)],
        "least_trusted": calibration.least_trusted(data.reliability[told[0].name], data.classes) if told else (),
        "bins": BINS,
        "gallery": _gallery(data),
        "gallery_spread": spread(data.gallery) if data.gallery else "",
        "wrong_color": panels.css_color(pictures.WRONG_COLOR),
    }


def _adaptation_sections(data: ReportData) -> dict[str, Any]:
    """What the template names of adaptation: IntraDA's ranking, and the spatial priors of self-training."""
    from markupsafe import Markup

    found: dict[str, Any] = {}
    if data.ranking is not None:
        sizes = ((LOW_IN, "wide"), (NARROW_IN, "narrow"))
        found["ranking_words"] = ranking_words(data.ranking)
        found["ranking_diagrams"] = [Markup(ranking_svg(data.ranking, size, f"ranking-{name}")) for size, name in sizes]
        found["ranking_ends"] = ranking_panels(data.ranking)
    if data.priors is not None:
        found["prior_maps"], found["prior_absent"] = prior_panels(data.priors), absent(data.priors)
        found["heat_stops"] = [panels.css_color(color) for color in heat_palette()[::15]]
    return found


def _chosen_section(shown: ChosenImages | None) -> dict[str, Any]:
    """What the template names of whole images: sentences, thumbnails, the map."""
    from markupsafe import Markup

    if shown is None:
        return {}
    drawn, sizes = shown.map, ((MAP_IN, "wide"), (NARROW_IN, "narrow"))
    svgs = [Markup(map_svg(drawn, size, f"map-{name}")) for size, name in sizes] if drawn else [Markup(), Markup()]
    words = map_words(drawn) if drawn else ""
    found = {"chosen_words": chosen_words(shown), "chosen_panels": chosen_panels(shown)}
    return {**found, "chosen_map": svgs, "chosen_map_words": words}


def _coarse_section(data: ReportData) -> dict[str, Any]:
    """What the template names of categories and objects: all models' means, and the last scored step in detail."""
    told = [model for model in data.models if model.name in data.coarse]
    if not told:
        return {"coarse_means": ()}
    last = next((model for model in reversed(told) if model.role is Role.STEP), told[-1])
    iou = dict(zip(data.classes.names, last.scores.iou_C.tolist(), strict=True))
    scores = data.coarse[last.name]
    return {
        "coarse_means": coarse.mean_rows(data.coarse),
        "coarse_words": coarse.words(scores, iou),
        "coarse_tables": coarse.tables(scores, iou),
        "coarse_model": last.name,
    }


def _gallery(data: ReportData) -> tuple[GalleryGroup, ...]:
    if data.gallery is None:
        return ()
    counted = [model.confusions for model in data.models if model.name == data.gallery.model]
    return gallery_groups(data.gallery, counted[0] if counted else None, data.classes)


def _data_sections(data: ReportData) -> dict[str, Any]:
    """What the template names of the data: what `check` found, and drift."""
    domains = data.check.domains if data.check else ()
    return {
        "drift_cards": [drift_card(pair, data.classes) for pair in data.drift.pairs] if data.drift else (),
        "light_names": list(dict.fromkeys(name for domain in domains for name in domain.light)),
        "check_words": check_words(data.check) if data.check else "",
        "most_lines": MOST_LINES,
    }
