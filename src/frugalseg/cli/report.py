"""`frugalseg report`: everything a project did, on one page."""

from frugalseg.cli.options import DryRun, Json, ProjectFolder, Quiet, options
from frugalseg.cli.output import logs_on_stderr, show, show_stage

EXAMPLES = ("frugalseg report city",)


def command(project: ProjectFolder, dry_run: DryRun = False, as_json: Json = False, quiet: Quiet = False) -> None:
    """Write the project's report: one HTML file without outside parts, to be opened, printed or mailed.

    It is written from all finished stages; the newest one always lies at PROJECT/report.html.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.report import report_stage

        result = report_stage(Project.open(project), options(dry_run=dry_run, quiet=quiet))
    if dry_run:
        show_stage(result, as_json)
        return
    page = project / "report.html"
    found = {"stage": result.name, "folder": result.folder, "dry_run": False, "done_before": result.done_before}
    show({**found, "report": page}, as_json, f"Report: {page}")
