"""How pages are made from templates: every text escaped, a missing name an error, numbers as people read them."""

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frugalseg.evaluation import wording


def write_html(path: Path, text: str) -> None:
    """Write a page."""
    # a command line or a file's name may hold bytes that are no text; they must not cost the user his page
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


def fill(template: str, context: Mapping[str, Any]) -> str:
    """Return the HTML of one of our templates; the same context gives the same text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("frugalseg.evaluation", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": wording.percent,
        "share": wording.share,
        "points": wording.points,
        "span": wording.span,
        "signed_span": wording.signed_span,
        "duration": wording.duration,
        "whole": wording.whole,
        "command": shlex.join,
        "setting": _setting,
    }
    environment.tests["known"] = lambda number: not math.isnan(number)
    return environment.get_template(template).render(**context)


def _setting(value: Any) -> str:
    """Write a setting as it stands in the TOML file: "text", 0.1, true, [1, 2]."""
    return json.dumps(value, ensure_ascii=False, default=str)
