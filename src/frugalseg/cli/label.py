"""`frugalseg label`: answer the questions of a selection."""

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frugalseg.cli.options import RUN, ConfigFile, DryRun, Json, ProjectFolder, Quiet, Settings, options, stage_folder
from frugalseg.cli.output import logs_on_stderr, show_stage

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project
    from frugalseg.workflow.stage import Options, StageResult

EXAMPLES = (
    "frugalseg label city",
    "frugalseg label city --host 0.0.0.0 --port 8765 --no-open",
    "frugalseg label city --export",
    "frugalseg label city --simulate --questions 5",
    "frugalseg label city --simulate --set wrong_rate=0.05 --set skip_rate=0.02",
)
PORT = 8765
Database = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="postgresql:// address of the store; default: PROJECT/answers.db"),
]
Host = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="where to listen; 0.0.0.0: for all on this network")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="where to listen; 0: any free port")]
Name = Annotated[
    str, typer.Option("--name", metavar="NAME", help="who starts the server: may answer, review and invite")
]
OWN = "default: the project's, which budgets reckon with"
Overlap = Annotated[
    float | None,
    typer.Option("--overlap", min=0.0, max=1.0, help=f"share of the questions that two people answer; {OWN}"),
]
Gold = Annotated[
    float | None,
    typer.Option("--gold", min=0.0, max=1.0, help=f"share of questions with a known answer, to check people; {OWN}"),
]


def command(
    project: ProjectFolder,
    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="answer from ground truth, with people's seconds and ambiguity as priors say"),
    ] = False,
    export: Annotated[
        bool, typer.Option("--export", help="serve nothing: hand on the answers that are there so far")
    ] = False,
    questions: Annotated[
        str | None,
        typer.Option("--questions", metavar="RUN", help=f"`select` stage to answer, {RUN}; default: the newest"),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    host: Host = "127.0.0.1",
    port: Port = PORT,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="open the page in a browser")] = True,
    name: Name = "admin",
    overlap: Overlap = None,
    gold: Gold = None,
    database: Database = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer the questions of a selection.

    Serves a page on which people answer by single keys, until Ctrl-C. Once everything is answered the answers are
    handed on to `retrain` and `run`; --export does so before. --simulate lets an oracle answer where the target's
    labels are on disk. Its settings say how often it skips, doubts or errs; `ledger.json` in the stage's folder counts
    what it said.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import next_command

        opened, chosen = Project.open(project), options(config, settings, dry_run, quiet)
        selection = stage_folder(opened, questions)
        if simulate:
            from frugalseg.workflow.label import label

            result = label(opened, True, selection, chosen)
        else:
            serving = None if export else {"host": host, "port": port, "open_page": open_page, "name": name}
            result = _people(opened, selection, database, overlap, gold, serving, chosen)
    show_stage(result, as_json, next_command=next_command(opened))


def _people(
    project: "Project",
    selection: Path | None,
    database: str | None,
    overlap: float | None,
    gold: float | None,
    serving: dict[str, Any] | None,
    chosen: "Options",
) -> "StageResult":
    """Serve until stopped (unless only an export is wanted), and export what is complete."""
    from frugalseg.workflow.people import export, open_store, prepare, waiting
    from frugalseg.workflow.stage import StageResult

    selection = selection or project.latest(("select",), "a selection", f"frugalseg select {project.folder}").folder
    if serving is not None and chosen.dry_run:
        return StageResult("label", None, {"questions": str(selection), **serving})
    store = open_store(project, database)
    try:
        if serving is not None:
            twice = project.settings.overlap if overlap is None else overlap
            checks = project.settings.gold if gold is None else gold
            known = prepare(project, selection, store, twice, checks, chosen)
            _serve(project, selection, store, known, chosen, **serving)
            if not store.progress(known).complete:
                return waiting(project, selection, store, known)
        return export(project, selection, store, chosen)
    finally:
        store.close()


def _serve(
    project: "Project",
    selection: Path,
    store: Any,
    known: Any,
    chosen: "Options",
    host: str,
    port: int,
    open_page: bool,
    name: str,
) -> None:
    from frugalseg.annotation.accounts import Role
    from frugalseg.web.serve import address, listen, names_of, serve
    from frugalseg.web.site import Site
    from frugalseg.web.watch import Watch
    from frugalseg.workflow.drawing import MEDIA
    from frugalseg.workflow.people import export

    server = listen(host, port)
    here = address(host, server.getsockname()[1])
    link = f"{here}/join#{store.accounts.invite(name, Role.ADMIN, name).secret}"

    def started() -> None:
        print(f"{known.name}: answer at {link}", file=sys.stderr)
        print("The link is for you alone; invite others on the dashboard. Ctrl-C stops.", file=sys.stderr, flush=True)
        if open_page:
            webbrowser.open(link)

    def hand_on() -> None:
        export(project, selection, store, chosen)

    with Watch(store, known, hand_on) as watch:
        serve(Site(store, known, project.folder / MEDIA, names_of(host), watch.poke), server, started)
