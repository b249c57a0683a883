"""The label check that stands before every training: all problems at once, and pixel counts for the class weights."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.data.labels import check_labels
from frugalseg.workflow.project import Project
from frugalseg.workflow.stage import Options, run_stage


def check_stage(project: Project, domain: str, options: Options) -> NDArray[np.int64]:
    """Read every label of `domain` once; return the labelled pixels of each class. Done once for the same files.

    Raises:
        DataProblems: listing every missing, unreadable or mismatched label.
    """
    manifest = project.manifest(domain)

    def work(folder: Path) -> dict[str, Any]:
        options.say(f"Checking {len(manifest)} {domain} labels.")
        counts = check_labels(manifest, project.classes, need=True)
        return {"pixels": counts.pixels.tolist()}

    inputs = {domain: project.manifest_folder(domain), "classes": project.folder / "classes.toml"}
    result = run_stage(project, f"check-{domain}", inputs, {}, work, options)
    return np.array(result.found["pixels"], np.int64)
