"""`frugalseg propagate`: labels of a few frames spread through a video."""

from pathlib import Path
from typing import Annotated, Any

import typer

from frugalseg.cli.options import ConfigFile, DryRun, Json, Quiet, Settings, model_folder, options
from frugalseg.cli.output import logs_on_stderr, pairs, show, show_stage
from frugalseg.core.errors import ConfigError

EXAMPLES = (
    "frugalseg propagate folder:drive --out spread",
    "frugalseg propagate video:drive.mp4 --labels labels --classes camvid11 --out spread --quality",
    "frugalseg propagate folder:drive --out spread --method warp_inpaint --checkpoint city/runs/0002-…",
    "frugalseg propagate city --set precision=0.987",
)


Video = Annotated[
    str, typer.Argument(metavar="PROJECT|SPEC", help="a project, or frames in order of time: folder:… or video:…")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="where labels go; a project has a stage for them")
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="DIR",
        help="labels of some frames, KEY.png with class ids; default: the data's own, a project's newest answers",
    ),
]
Classes = Annotated[
    str | None, typer.Option("--classes", metavar="FILE|NAME", help="what ids mean; default: the data's")
]
Method = Annotated[
    str | None,
    typer.Option("--method", metavar="NAME", help="warp (default), warp_inpaint, warp_refine; semantic, oracle"),
]
Anchors = Annotated[
    int | None, typer.Option("--anchors", min=1, max=2, help="labelled frames a label comes from; default: 2")
]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="MODEL", help="the network that guesses; not for warp, oracle")
]
Unseen = Annotated[
    Path | None,
    typer.Option(
        "--unseen",
        metavar="MODEL|FILE",
        help="what guesses on the labelled frames, for confidence and for warp_refine to learn: a network that has not "
        "learned from these labels, or a CSV file (key, model) with one for each frame; default: --checkpoint's",
    ),
]


def command(
    video: Video,
    out: Out = None,
    labels: Labels = None,
    classes: Classes = None,
    method: Method = None,
    anchors: Anchors = None,
    quality: Annotated[bool, typer.Option("--quality", help="less drift, learned choice between two; slower")] = False,
    checkpoint: Checkpoint = None,
    unseen: Unseen = None,
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="processes, one stretch of video each")] = 2,
    config: ConfigFile = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Spread labels of some frames of a video to the others, with a confidence and an origin beside each label.

    Each label is carried along the motion of the pictures, from the labelled frames before and after. Frames that are
    missing, a scene cut and a change of size end a track, and no label crosses its end. Single points that people
    answered in a project are followed one by one. `retrain` learns what was spread. What was stopped goes on with
    the same command; frames that are done are not made again.
    """
    given: dict[str, Any] = {"method": method, "anchors": anchors, "quality": "true" if quality else None}
    flags = [*(settings or []), *(f"{name}={value}" for name, value in given.items() if value is not None)]
    chosen = options(config, flags, dry_run, quiet)
    if (Path(video) / "project.toml").is_file():
        if out is not None or classes is not None:
            raise ConfigError(
                f"{video} is a project: it has its classes, and a stage for the labels; no --out, --classes."
            )
        _in_project(Path(video), labels, checkpoint, unseen, jobs, chosen, as_json)
        return
    if out is None:
        raise ConfigError(f"{video} is no project: say where the labels go with --out DIR.")
    with logs_on_stderr():
        from frugalseg.data import class_sets
        from frugalseg.workflow.propagate import propagate_video

        model = None if checkpoint is None else model_folder(checkpoint)
        meaning = None if classes is None else class_sets.find(classes)
        found = propagate_video(video, labels, meaning, model, out, jobs, chosen, unseen)
    show({**({"dry_run": True} if dry_run else {}), **found}, as_json, pairs(found))


def _in_project(
    project: Path,
    labels: Path | None,
    checkpoint: Path | None,
    unseen: Path | None,
    jobs: int,
    chosen: Any,
    as_json: bool,
) -> None:
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.propagate import propagate_project
        from frugalseg.workflow.status import next_command

        opened = Project.open(project)
        model = None if checkpoint is None else model_folder(checkpoint)
        result = propagate_project(opened, labels, model, jobs, chosen, unseen)
    show_stage(result, as_json, next_command=next_command(opened))
