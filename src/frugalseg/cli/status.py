"""`frugalseg status`: where a project stands."""

from frugalseg.cli.options import Json, ProjectFolder, Quiet
from frugalseg.cli.output import Table, logs_on_stderr, pairs, show

EXAMPLES = ("frugalseg status city",)

ROUND = ("round", "strategy", "questions", "answers", "human_seconds_planned", "human_seconds", "each_s", "agreement",
         "miou")  # fmt: skip
HEADLINES = ("miou", "questions", "answers", "human_seconds")


def command(project: ProjectFolder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Say what is finished, round by round, what it cost in people's and the machine's time, and what comes next."""
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import status

        found = status(Project.open(project))
    left_out = {"quarantined": found["quarantined"]} if found["quarantined"] else {}
    facts = pairs({"frames": found["data"], **left_out, "people's minutes": found["human_seconds"] / 60})
    rows = [(stage["stage"], stage["wall_s"], *(stage.get(name) for name in HEADLINES)) for stage in found["stages"]]
    table = Table(rows, ("stage", "seconds", "mIoU", "questions", "answers", "people's s"))
    header = ("round", "strategy", "questions", "answers", "planned s", "people's s", "s/answer", "agreement", "mIoU")
    asked = Table([[one[name] for name in ROUND] for one in found["rounds"]], header)
    show(found, as_json, f"{found['project']} ({found['folder']})", facts, table, asked, f"Next: {found['next']}")
