"""`frugalseg`: finds the verb, loads its module and nothing else, and turns what went wrong into an exit code.

0 done · 2 something the user can mend, message only · 1 a slip of ours · 130 Ctrl-C · 143 SIGTERM during training.
"""

import errno
import importlib
import inspect
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command as build_command

from frugalseg import __version__
from frugalseg.cli.output import printable
from frugalseg.core.choose import nearest
from frugalseg.core.errors import FrugalsegError


class Verb(NamedTuple):
    """Where a verb's code is, and what it does in one line. The module has `command` and `EXAMPLES`."""

    module: str
    help: str


VERBS = {
    "demo": Verb("frugalseg.cli.demo", "the whole loop on a generated toy city, from nothing to a report"),
    "init": Verb("frugalseg.cli.init", "start a project, or give it other data or settings"),
    "check": Verb("frugalseg.cli.check", "look at all data and say what is wrong with it, with pictures"),
    "plan": Verb("frugalseg.cli.plan", "what a budget buys, and what the next hour is predicted to bring"),
    "adapt": Verb("frugalseg.cli.adapt", "train a network for the target without people's answers"),
    "choose-model": Verb("frugalseg.cli.choose_model", "choose among adapted models without a target label"),
    "select": Verb("frugalseg.cli.select", "choose what people are asked"),
    "label": Verb("frugalseg.cli.label", "answer the questions of a selection"),
    "tasks": Verb("frugalseg.cli.tasks", "whole images out to other tools, labels back"),
    "answers": Verb("frugalseg.cli.answers", "who may answer; back the answers up, and restore them"),
    "retrain": Verb("frugalseg.cli.retrain", "train with people's answers"),
    "propagate": Verb("frugalseg.cli.propagate", "spread labels of some frames of a video to the others"),
    "evaluate": Verb("frugalseg.cli.evaluate", "score a project, a model or a folder of predictions"),
    "predict": Verb("frugalseg.cli.predict", "write label maps of any images"),
    "report": Verb("frugalseg.cli.report", "write the project's report, one HTML file"),
    "run": Verb("frugalseg.cli.run", "all stages in order; stops where people's answers are due"),
    "status": Verb("frugalseg.cli.status", "what is finished, what it cost, what comes next"),
    "bench": Verb("frugalseg.cli.bench", "compare methods on a project: same network, same steps, several seeds"),
    "methods": Verb("frugalseg.cli.methods", "every reader, network, method and selector, and their settings"),
}

DEBUG = "FRUGALSEG_DEBUG"
USERS_MACHINE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
)  # refused by the system, not a slip
# Typer carries its own copy of click since 0.26; its public names are the way to the classes that are raised.
ClickError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


class LazyVerbs(TyperGroup):
    """The group of all verbs; a verb's module is imported when that verb is called, not to list it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order one uses them."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a verb, or None."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(VERBS[cmd_name].module)
        examples = "\n".join(f"  {example}" for example in module.EXAMPLES)
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(cmd_name, help=f"{inspect.getdoc(module.command)}\n\n\b\nExamples:\n{examples}")(module.command)
        return build_command(app)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb of `args`; an unknown one is refused with the nearest."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            guess = nearest(name, VERBS)
            hint = f" Did you mean {guess!r}?" if guess else ""
            ctx.fail(f"There is no verb {name!r}.{hint} Verbs: {', '.join(VERBS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the table of verbs from VERBS, importing none of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


app = typer.Typer(cls=LazyVerbs, add_completion=False, rich_markup_mode=None, subcommand_metavar="VERB ...")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"frugalseg {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _group(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and leave")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help=f"show tracebacks; may stand anywhere; {DEBUG}=1 does the same")
    ] = False,
) -> None:
    """A segmentation model that works in your new domain, from as little human time as possible.

    Start with `frugalseg demo`, or with `frugalseg init`. Each verb explains itself: frugalseg VERB --help
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and leave with its exit code: the console script `frugalseg`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(*_take_debug(given)))


def run(arguments: Sequence[str], debug: bool = False) -> int:
    """Run one command line (without the program's name) and return its exit code; SystemExit passes through."""
    try:
        code = build_command(app).main(args=list(arguments), prog_name="frugalseg", standalone_mode=False)
        sys.stdout.flush()
    except FrugalsegError as error:
        return _refuse(f"frugalseg: {error}", debug)
    except ClickError as error:  # a verb, option or value that the command line does not know
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "frugalseg"
        return _refuse(f"{path}: {error.format_message()}\nSee: {path} --help", debug)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:  # `frugalseg methods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno in USERS_MACHINE:
            return _refuse(f"frugalseg: {error.filename or 'writing'}: {error.strerror}.", debug)
        return _internal_failure(error, debug)
    if code == 130:
        _tell("\nStopped. What is finished is kept; the same command goes on from there.")
    return int(code or 0)


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without `--debug`, and whether tracebacks are wanted."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:end], arguments[end:]
    asked = "--debug" in options or os.environ.get(DEBUG, "0") not in ("", "0")
    return [option for option in options if option != "--debug"] + rest, asked


def _refuse(message: str, debug: bool) -> int:
    if debug:
        _tell(traceback.format_exc())
    _tell(message)
    return 2


def _internal_failure(error: Exception, debug: bool) -> int:
    text = traceback.format_exc()
    summary = traceback.format_exception_only(error)[-1].strip()
    if debug:
        _tell(text)
        where = "The traceback stands above."
    else:
        where = f"The traceback is in {_keep(text)}; --debug or {DEBUG}=1 shows it here."
    _tell(f"frugalseg: this should not have happened: {summary}\n{where} Please report it.")
    return 1


def _keep(text: str) -> str:
    try:
        handle, path = tempfile.mkstemp(prefix="frugalseg-", suffix=".log")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return "no file (none could be written)"
    return path


def _tell(text: str) -> None:
    print(printable(text, sys.stderr), file=sys.stderr, flush=True)
