"""`frugalseg answers`: look after the store of people's answers."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from frugalseg.cli.label import PORT, Database
from frugalseg.cli.options import DryRun, Json, ProjectFolder, Quiet
from frugalseg.cli.output import Table, logs_on_stderr, pairs, show
from frugalseg.core.errors import ConfigError

EXAMPLES = (
    "frugalseg answers city figures",
    "frugalseg answers city people",
    "frugalseg answers city invite ann --role reviewer --host 192.168.1.20",
    "frugalseg answers city revoke ann",
    "frugalseg answers city backup saved/answers.db",
    "frugalseg answers city restore saved/answers.db",
)


class Action(StrEnum):
    """What to do."""

    FIGURES = "figures"
    PEOPLE = "people"
    INVITE = "invite"
    REVOKE = "revoke"
    BACKUP = "backup"
    RESTORE = "restore"


def command(
    project: ProjectFolder,
    action: Annotated[
        Action, typer.Argument(metavar="ACTION", help="figures, people, invite, revoke, backup or restore")
    ],
    subject: Annotated[
        str | None, typer.Argument(metavar="[NAME|FILE]", help="whom to invite or revoke; the file of a backup")
    ] = None,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="annotator, reviewer or admin; for invite")
    ] = "annotator",
    days: Annotated[float, typer.Option("--days", min=0.01, help="how long an invitation is valid")] = 14.0,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="as given to `label`")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="as given to `label`")] = PORT,
    database: Database = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look after the store of people's answers: who answered and how well, who may answer, copies of it.

    `figures` are those of the newest selection: what an answer takes, and how far each person's can be believed.

    `backup` may run while people answer. `restore` needs the server stopped; the store that was there stays beside it.
    A PostgreSQL store is saved with PostgreSQL's own tools.
    """
    if (subject is None) != (action in (Action.FIGURES, Action.PEOPLE)):
        raise ConfigError(f"answers {action}: {'a name or file is needed' if subject is None else 'takes no name'}.")
    with logs_on_stderr():
        from frugalseg.workflow.project import Project

        opened = Project.open(project)
        if dry_run:
            from frugalseg.workflow.people import STORE

            store = database or str(opened.folder / STORE)
            found: dict[str, Any] = {"action": str(action), "store": store} | ({"subject": subject} if subject else {})
        elif action in (Action.BACKUP, Action.RESTORE):
            found = _copy(opened, action, Path(str(subject)), database)
        else:
            found = _people(opened, action, str(subject), database, role, days, host, port)
    show(found, as_json, *_parts(action, found))


def _parts(action: Action, found: dict[str, Any]) -> list[str | Table]:
    """Return what people are shown of what was found."""
    if action is Action.PEOPLE and "people" in found:
        return [Table([tuple(person.values()) for person in found["people"]], ("name", "role", "live tokens"))]
    if action is not Action.FIGURES or "people" not in found:
        return [pairs(found)]
    spread = ("median", "low", "high", "from", "to")
    times = [
        (kind, count, found["seconds"][kind], *(found["each_s"][kind][name] for name in spread))
        for kind, count in found["answers"].items()
    ]
    columns = ("answers", "seconds", "revealed", "checked", "right", "judged", "estimated_right")
    people = [(one["name"], one["each_s"]["median"], *(one[key] for key in columns)) for one in found["people"]]
    agreed = found["agreement"]
    return [
        Table(times, ("kind", "answers", "seconds", "median s", "low", "high", "median from", "to")),
        f"Two people said the same on {agreed['same']} of {agreed['questions']} questions; {found['undecided']} open.",
        Table(people, ("name", "median s", "answers", "seconds", "looked", "known", "right", "judged", "estimated")),
    ]


def _copy(project: Any, action: Action, file: Path, database: str | None) -> dict[str, Any]:
    from frugalseg.annotation.database import backup, restore
    from frugalseg.workflow.people import STORE

    if database is not None:
        raise ConfigError("answers: a PostgreSQL store is saved and restored with pg_dump and pg_restore.")
    store = project.folder / STORE
    if action is Action.BACKUP:
        backup(store, file)
    else:
        restore(file, store)
    return {"store": str(store), "backup": str(file)}


def _people(
    project: Any, action: Action, name: str, database: str | None, role: str, days: float, host: str, port: int
) -> dict[str, Any]:
    from frugalseg.annotation.accounts import Role
    from frugalseg.core.choose import choose
    from frugalseg.web.serve import address
    from frugalseg.workflow.people import figures, open_store

    store = open_store(project, database)
    try:
        if action is Action.PEOPLE:
            return {"people": store.accounts.people()}
        if action is Action.FIGURES:
            selection = project.latest(("select",), "a selection", f"frugalseg select {project.folder}").folder
            return figures(project, selection, store)
        if action is Action.REVOKE:
            return {"name": name, "ended": store.accounts.revoke(name, "command line")}
        known = choose("role", role, {str(entry): entry for entry in Role})
        ticket = store.accounts.invite(name, known, "command line", round(days * 86_400_000))
        return {"name": name, "role": role, "link": f"{address(host, port)}/join#{ticket.secret}"}
    finally:
        store.close()
