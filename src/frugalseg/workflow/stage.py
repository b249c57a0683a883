"""How every stage runs: begin a folder, do the work, commit; a stage that is done already is not done again."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugalseg.core.artifact import Stage
from frugalseg.core.errors import BusyError
from frugalseg.data.quarantine import QUARANTINE
from frugalseg.workflow.project import DOMAINS, Project

POLL_S = 0.2  # between looks at what another process is doing


@dataclass(frozen=True)
class Options:
    """What every verb takes: a settings file, `key=value` settings, dry run (only say what would be done), quiet."""

    config: Path | None = None
    overrides: tuple[str, ...] = ()
    dry_run: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """Tell the user something on stderr, unless asked to be quiet."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class StageResult:
    """A finished stage: its folder, what it found, and whether it had been done before.

    After a dry run `folder` is None and `found` says what would have been done. Of a stage that still waits for people,
    `left` of their answers, `folder` is where what they said so far is kept.
    """

    name: str
    folder: Path | None
    found: dict[str, Any] = field(default_factory=dict)
    done_before: bool = False
    left: int = 0

    @property
    def where(self) -> Path:
        """The folder of a stage that ran."""
        assert self.folder is not None, "a dry run has no folder"
        return self.folder


def run_stage(
    project: Project,
    name: str,
    inputs: dict[str, Path],
    config: dict[str, Any],
    work: Callable[[Path], dict[str, Any]],
    options: Options,
    seed: int = 0,
    wait: bool = False,
) -> StageResult:
    """Run `work(folder)` for these inputs and settings, or return what an earlier run of the same found.

    `work` may be killed and called again on the same folder: it goes on from what it finds there. With `wait`, what
    another process is doing already is waited for.

    Raises:
        ArtifactError: an input is missing.
        BusyError: another process works on the same stage.
    """
    project.runs.mkdir(parents=True, exist_ok=True)
    stage = Stage(project.runs, name, inputs, config, sys.argv, seed)
    if stage.done() is None:
        _say_quarantined(project, inputs)
    while (done := stage.done()) is None:
        try:
            with stage:
                finished = stage.commit(work(stage.folder))
        except BusyError:
            if not wait:
                raise
            time.sleep(POLL_S)
        else:
            options.say(f"{finished.folder.name}: done in {finished.wall_s:.0f} s.")
            return StageResult(name, finished.folder, finished.extra)
    options.say(f"{done.folder.name}: done before.")
    return StageResult(name, done.folder, done.extra, done_before=True)


def _say_quarantined(project: Project, inputs: dict[str, Path]) -> None:
    """Say which of the sets that a stage uses are not whole; even to those who want no progress."""
    for domain in DOMAINS:
        if domain in inputs and (count := project.quarantined(domain)):
            frames = "frame" if count == 1 else "frames"
            table = project.manifest_folder(domain) / QUARANTINE
            print(f"{domain}: {count} {frames} quarantined, left out here; see {table}", file=sys.stderr, flush=True)
