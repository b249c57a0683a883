"""The papers' networks and training settings by name, as data: one TOML file each in `presets/`.

A preset holds what a paper states about network, input and optimizer, in fields that every method shares
(`TrainConfig`); a method's own settings have the paper's values as defaults beside the method, and where they have not,
the preset gives them in `[own.METHOD]`. What a paper does not state is left out, except that what only we do (moving
average, class weights, ...) is switched off.
"""

from pathlib import Path

from pydantic import Field

from frugalseg.core.choose import choose
from frugalseg.core.config import Config, load_config
from frugalseg.core.toml import toml_value
from frugalseg.training.settings import TrainConfig

FOLDER = Path(__file__).parent / "presets"
Value = bool | int | float | str


class Preset(Config):
    """One paper's network and training settings."""

    summary: str = Field(description="what it is, in one line")
    source: str = Field(description="the paper, and where in it")
    network: str = Field(description="name of the network")
    settings: dict[str, Value] = Field(description="fields of TrainConfig")
    own: dict[str, dict[str, Value]] = Field(
        default_factory=dict, description="by method: settings of its own whose defaults are not the paper's"
    )

    @property
    def overrides(self) -> list[str]:
        """The settings that every method takes as `key=value`, as `load_config` and `--set` take them."""
        return _overrides(self.settings)

    def settings_of(self, method: str) -> dict[str, Value]:
        """Return all settings of a method: those that every method takes, and its own."""
        return {**self.settings, **self.own.get(method, {})}

    def overrides_of(self, method: str) -> list[str]:
        """Return all settings of a method as `key=value`."""
        return _overrides(self.settings_of(method))


def presets() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_preset(name: str) -> Preset:
    """Return a preset by name.

    Raises:
        UnknownNameError: with the nearest name and the whole list.
        ConfigError: its file holds a key or value that TrainConfig does not take.
    """
    path = choose("preset", name, {known: FOLDER / f"{known}.toml" for known in presets()})
    preset = load_config(Preset, path)
    load_config(TrainConfig, overrides=preset.overrides)
    return preset


def _overrides(settings: dict[str, Value]) -> list[str]:
    return [f"{key}={toml_value(value)}" for key, value in settings.items()]
