"""The source-free start: a model from outside becomes a stage of the project, in place of source data."""

from pathlib import Path
from typing import Any

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ConfigError
from frugalseg.models.store import load_model, read_model_info, save_model
from frugalseg.workflow.project import IMPORT, MODEL, Project
from frugalseg.workflow.stage import Options, StageResult, run_stage

OWN = ("schema", "network", "channels", "normalization", "classes", "sha256")  # what save_model writes by itself
SIZES = ("input_height", "input_width")


def checkpoint_settings(model: Path) -> tuple[dict[str, Any], ClassSet]:
    """Return the project settings that come with a model's folder (checkpoint, network, channels), and its classes.

    Raises:
        ModelError: there is no model, or it does not load.
        ConfigError: it does not say at which size it was trained.
    """
    info, network = read_model_info(model), load_model(model)
    if any(type(info.get(key)) is not int or info[key] < 1 for key in SIZES):
        raise ConfigError(
            f"{model / 'model.json'}: input_height and input_width, the size in pixels the network was trained at, are "
            "missing or no whole numbers. Add them: frames are brought to that size."
        )
    given = {"checkpoint": str(model.absolute()), "network": network.name, "channels": network.channels}
    return given, network.classes


def import_model(project: Project, options: Options) -> StageResult:
    """Copy the project's checkpoint into a stage, so that the project never depends on files outside again.

    Raises:
        ModelError: the checkpoint does not load.
    """
    assert project.settings.checkpoint is not None
    model = Path(project.settings.checkpoint)
    network, info = load_model(model), read_model_info(model)

    def work(folder: Path) -> dict[str, Any]:
        save_model(folder / MODEL, network, {key: value for key, value in info.items() if key not in OWN})
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return {"method": info.get("method", "unknown"), "parameters": parameters}

    return run_stage(project, IMPORT, {"checkpoint": model}, {}, work, options)
