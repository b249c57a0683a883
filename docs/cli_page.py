"""Writes cli.md from the command line's own help; a test says so where the two differ. Run: python docs/cli_page.py."""

import inspect
from pathlib import Path

import typer
from typer.main import get_command

from frugalseg.cli.main import VERBS, app

PAGE = Path(__file__).with_name("cli.md")

INTRO = """\
# The command line

`frugalseg VERB --help` shows what stands here. Each verb that makes something writes one new folder below
`PROJECT/runs` ([file formats](file-formats.md)); run again with the same data and settings it does nothing, and run
again after an interruption it goes on.

**What is printed.** The result goes to stdout: short text, or with `--json` one JSON object and nothing else.
Progress, warnings and messages go to stderr; `--quiet` leaves the progress out. Scores are fractions from 0 to 1; what
has no value (the IoU of a class that does not occur) is `null`.

**Exit codes**

0
: done

2
: something you can mend: an option, a setting, data; the message says what, where and how, never a traceback

1
: a slip of ours; the message names the file with the traceback, and `--debug` (anywhere on the line) or
  `FRUGALSEG_DEBUG=1` shows it

130
: stopped with Ctrl-C; the same command goes on

143
: stopped with SIGTERM during training, after saving; the same command goes on

**SPEC** says where data is: `reader:path`, with options after a question mark and between ampersands, e.g.
`"folder:/data/frames?split=train&limit=100"` (quoted, for the shell). `frugalseg methods` lists the readers.

**BUDGET** says what people are asked in one round: `50points/image`, `2000points`, `2h`, `30min`, `45s`, `5%images` or
`15images`. Hours are turned into questions with the seconds that one answer costs
([Rounds and budgets](how-to/rounds.md)).

**RUN** names a finished stage of a project: its number (`4`), its folder's name (`0004-adapt-cbst-1a2b3c4d`) or a path
to it.

**Settings** of a method or selector come from its defaults, then `PROJECT/settings/NAME.toml` or `--config FILE` (one
flat TOML file), then `--set KEY=VALUE`. `frugalseg methods NAME` lists them. An unknown one is refused with the nearest
name.
"""


def page() -> str:
    """Return the whole page."""
    group = get_command(app)
    context = typer.Context(group, info_name="frugalseg")
    parts = [INTRO, "## frugalseg\n", *_parameters(group, context)]
    for name in VERBS:
        command = group.get_command(context, name)
        description = inspect.cleandoc(command.help).partition("\n\n\b\n")[0]
        examples = command.help.partition("Examples:\n")[2]
        parts += [f"## frugalseg {name}\n", f"{description}\n"]
        parts += ["```console", *(f"$ {line.strip()}" for line in examples.splitlines()), "```\n"]
        parts += _parameters(command, typer.Context(command, info_name=name, parent=context))
    return "\n".join(parts).rstrip("\n") + "\n"


def _parameters(command, context) -> list[str]:
    """One definition each: what is typed, and what it means."""
    lines = []
    for parameter in command.get_params(context):
        if "--help" in parameter.opts:
            continue
        typed, meaning = parameter.get_help_record(context)
        if parameter.param_type_name == "argument":
            typed = parameter.metavar
        lines += [f"`{typed}`", f": {meaning.replace('  [', ' [')}\n"]
    return lines


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
