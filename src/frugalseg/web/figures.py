"""What pages show of the store: who is here, the queue of disagreements, the dashboard."""

import csv
import io
import math
from dataclasses import asdict
from typing import Any

from frugalseg.annotation import history as told
from frugalseg.annotation.accounts import RIGHTS, Account
from frugalseg.annotation.annotators import Annotators, people_figures
from frugalseg.annotation.events import Reply
from frugalseg.annotation.history import History
from frugalseg.web.site import Site

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would begin to calculate


def session(site: Site, account: Account) -> dict[str, Any]:
    """Return what a page needs once."""
    classes = [{"name": c.name, "color": list(c.color)} for c in site.selection.classes.classes]
    return {
        "project": site.store.project,
        "selection": site.selection.name,
        "classes": classes,
        "account": account.name,
        "role": account.role,
        "rights": sorted(RIGHTS[account.role]),
        "progress": asdict(site.store.progress(site.selection)),
    }


def review(site: Site) -> list[dict[str, Any]]:
    """Return what a reviewer is to decide."""
    due = [history for history in site.store.histories(site.selection) if history.differs or history.late]
    shown = site.store.questions([history.number for history in due])
    return [{**question, "said": _said(history)} for question, history in zip(shown, due, strict=True)]


def dashboard(site: Site) -> dict[str, Any]:
    """Return the figures of the dashboard; the forecast goes by the median answer."""
    histories = site.store.histories(site.selection)
    progress = site.store.progress(site.selection)
    each = told.spread([told.seconds(reply) for _, _, reply in told.replies(histories)])
    spent = math.fsum(told.seconds(reply) for _, _, reply in told.replies(histories))
    left = progress.questions - (progress.settled if progress.people > 1 else progress.answered)
    return {
        "progress": {**asdict(progress), "complete": progress.complete},
        "each_s": each,
        "spent_s": spent,
        "left_s": None if each["median"] is None else left * each["median"],
        "agreement": told.agreement(histories),
        "undecided": sum(history.differs for history in histories),
        "late": sum(bool(history.late) for history in histories),
        "classes": list(site.selection.classes.names),
        "people": people_figures(histories, Annotators.of(histories, len(site.selection.classes))),
    }


def people_csv(site: Site) -> str:
    """Return each person's figures as CSV; a name that begins like a formula gets an apostrophe in front."""
    histories = site.store.histories(site.selection)
    rows = people_figures(histories, Annotators.of(histories, len(site.selection.classes)))
    text = io.StringIO()
    table = csv.writer(text)
    counted = ("revealed", "checked", "right", "judged", "estimated_right")
    table.writerow(["name", "answers", "seconds", "median_s", *counted])
    for row in rows:
        name = f"'{row['name']}" if row["name"].startswith(FORMULA) else row["name"]
        seconds = f"{row['seconds']:.1f}"
        table.writerow([name, row["answers"], seconds, row["each_s"]["median"], *(row[key] for key in counted)])
    return text.getvalue()


def _said(history: History) -> list[dict[str, Any]]:
    found = [(name, reply, False) for name, reply in history.answers.items()]
    found += [(name, event.payload, True) for name, event in history.late if isinstance(event.payload, Reply)]
    return [
        {"name": name, "verdict": reply.verdict, "class_id": reply.class_id, "late": late,
         "seconds": told.seconds(reply)}
        for name, reply, late in found
    ]  # fmt: skip
