"""`frugalseg predict`: label maps of any images."""

from pathlib import Path
from typing import Annotated

import typer

from frugalseg.cli.options import ConfigFile, DryRun, Json, Quiet, Settings, model_folder, options
from frugalseg.cli.output import logs_on_stderr, show
from frugalseg.core.errors import ConfigError

EXAMPLES = (
    "frugalseg predict city/runs/0007-retrain-point_da-1a2b3c4d frames --out predictions",
    "frugalseg predict model a.png b.jpg --out predictions --overlay",
    "frugalseg predict model cityscapes/leftImg8bit/test --out upload --submission cityscapes",
)


def command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="a model's folder, or an adapt or retrain stage's")
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="image files, and folders of them")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="where the label maps go")],
    overlay: Annotated[
        bool, typer.Option("--overlay", help="also write NAME_overlay.png: the classes' colours over the image")
    ] = False,
    submission: Annotated[
        str | None,
        typer.Option(
            "--submission",
            metavar="SERVER",
            help="cityscapes or kitti: ids and names as that benchmark's server takes them",
        ),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one label map an image: a PNG of class ids, at the image's size.

    An image that cannot be read is refused by name and the rest is predicted; the exit code is then 2.
    """
    with logs_on_stderr():
        from frugalseg.workflow.predict import predict
        from frugalseg.workflow.submission import submission as server_of

        flags = options(config, settings, dry_run, quiet)
        if submission and overlay:
            raise ConfigError("--overlay: not with --submission; a server would take the pictures for predictions.")
        server = server_of(submission) if submission else None
        found = predict(model_folder(checkpoint), images, out, flags, overlay=overlay, server=server)
    if dry_run:
        show({"dry_run": True, **found}, as_json, f"{found['images']} images would be predicted into {out}.")
        return
    refused = [f"refused: {reason}" for reason in found["refused"].values()]
    show(found, as_json, f"{found['predicted']} of {found['images']} images predicted into {out}.", *refused)
    if refused:
        raise typer.Exit(2)
