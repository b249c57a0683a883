"""`frugalseg check`: what is wrong with the data."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from frugalseg.cli.options import DryRun, Json, ProjectFolder, Quiet, options
from frugalseg.cli.output import logs_on_stderr, show, show_stage

if TYPE_CHECKING:
    from frugalseg.workflow.check import CheckResult

EXAMPLES = ("frugalseg check city", "frugalseg check city --quarantine")

Quarantine = Annotated[
    bool, typer.Option("--quarantine", help="leave the frames with problems out of all later stages, by name")
]
FILES_SHOWN = 3  # of each problem; check.json names all


def command(
    project: ProjectFolder,
    quarantine: Quarantine = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at every file of a project and say all that is wrong, with the likely cause; write a page with pictures.

    Leaves with 2 if there are problems, with 0 if there are only remarks. With --quarantine the frames with problems
    are written to PROJECT/manifests/DOMAIN/quarantine.csv; every stage then leaves them out and says how many.
    """
    with logs_on_stderr():
        from frugalseg.workflow.check import check
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import next_command

        opened = Project.open(project)
        result = check(opened, quarantine, options(dry_run=dry_run, quiet=quiet))
    if dry_run:
        show_stage(result.stage, as_json)
        return
    following = [f"Next: {next_command(opened)}"] if not result.open else _when_mended(result, project)
    show(_found(result), as_json, *_lines(result, project), *following)
    if result.open:
        raise typer.Exit(2)


def _found(result: "CheckResult") -> dict[str, Any]:
    """Return what `--json` prints: every problem in full is in the file that `details` names."""
    from frugalseg.data.findings import grouped

    stage, groups = result.stage, grouped(result.open)
    return {
        "stage": stage.name,
        "folder": stage.where,
        "dry_run": False,
        "done_before": stage.done_before,
        "ok": not result.open,
        "frames": stage.found["frames"],
        "problems": [
            {
                "domain": group.domain,
                "kind": str(group.kind),
                "count": len(group.findings),
                "mend": group.mend,
                "files": [{"path": finding.path, "what": finding.what} for finding in group.findings[:FILES_SHOWN]],
            }
            for group in groups
        ],
        "remarks": [
            {"domain": remark.domain, "text": remark.text, "warning": remark.warning} for remark in result.remarks
        ],
        "gap": result.gap,
        "quarantined": result.quarantined,
        "page": stage.where / "data.html",
        "details": stage.where / "check.json",
    }


def _lines(result: "CheckResult", project: Path) -> list[str]:
    from frugalseg.data.findings import grouped

    frames = ", ".join(f"{domain} {count}" for domain, count in result.stage.found["frames"].items())
    lines = [f"{project}: {len(result.open) or 'no'} problem{'' if len(result.open) == 1 else 's'} (frames: {frames})"]
    for group in grouped(result.open):
        lines += ["", group.title]
        lines += [f"  {finding.path}: {finding.what}" for finding in group.findings[:FILES_SHOWN]]
        hidden = len(group.findings) - FILES_SHOWN
        lines += [f"  … and {hidden} more"] if hidden > 0 else []
        lines += [f"  {line}" for line in group.mend.splitlines()]
    if result.remarks or result.gap:
        lines += ["", "Remarks"]
        lines += [f"  {'! ' if r.warning else ''}{r.domain}: {r.text}" for r in result.remarks]
        lines += [f"  {result.gap}"] if result.gap else []
    return [*lines, "", f"With pictures: {result.stage.where / 'data.html'}"]


def _when_mended(result: "CheckResult", project: Path) -> list[str]:
    folder = shlex.quote(str(project))
    lines = [f"When mended: frugalseg init {folder} && frugalseg check {folder}"]
    if any(finding.name for _, finding in result.open):
        lines.append(f"Or leave these frames out: frugalseg check {folder} --quarantine")
    return lines
