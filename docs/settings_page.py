"""Writes methods/settings.md from the config classes of methods, annotator and propagation; a test compares the two.

Run: python docs/settings_page.py
"""

from pathlib import Path

from frugalseg.annotation.oracle import OracleConfig
from frugalseg.core.config import Setting, describe
from frugalseg.training.settings import TrainConfig
from frugalseg.workflow.catalog import METHODS
from frugalseg.workflow.propagate_config import PropagateConfig

PAGE = Path(__file__).parent / "methods" / "settings.md"
INTRO = """\
# Settings of the methods

What `frugalseg methods NAME` prints, for all of them. A setting comes from the default here, then from
`PROJECT/settings/NAME.toml` or `--config FILE`, then from `--preset`, then from `--set NAME=VALUE`; an unknown one is
refused with the nearest name. What a paper says of it stands on the method's page.

## Shared by all

"""
ORACLE = """\
## The simulated annotator

Settings of `frugalseg label --simulate`, in `PROJECT/settings/label.toml`, `--config FILE` or `--set NAME=VALUE`. What
is drawn depends on the seed and the question alone. `ledger.json` counts each verdict, and how many answers are wrong.

"""
PROPAGATE = """\
## Labels through video

Settings of `frugalseg propagate`, in `--config FILE` or `--set NAME=VALUE`: [what they mean](warp_refine.md).

"""
NOTE = "The shared settings, and these; a shared one that stands here has another default or meaning."


def page() -> str:
    """Return the whole page."""
    shared = describe(TrainConfig)
    parts = [INTRO + _table(shared)]
    for name, entry in METHODS.items():
        own = [setting for setting in describe(entry.load_config()) if setting not in shared]
        summary = f"{entry.summary[0].upper()}{entry.summary[1:]}."
        parts.append(f"## {name}\n\n{summary} {NOTE}\n\n{_table(own)}")
    parts.append(ORACLE + _table(describe(OracleConfig)))
    parts.append(PROPAGATE + _table(describe(PropagateConfig)))
    return "\n".join(parts)


def _table(settings: list[Setting]) -> str:
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for setting in settings:
        cells = (f"`{setting.name}`", f"`{setting.type}`", f"`{setting.default}`", setting.description)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
