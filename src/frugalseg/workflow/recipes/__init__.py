"""Ready projects: pairs of public data sets with the network, classes and settings of their papers.

One `NAME.toml` each. Its SPECs are relative to the folder that holds the data sets (`--data`). A recipe with variants
is chosen as `NAME:VARIANT` (without: the first one), which takes the place of `{variant}` in its texts. A method's
settings are those of the first preset in its list that is made for the project's network, else of the first in the
list; what only this pair of data sets needs stands in `settings` and is stronger.
"""

from importlib import resources
from pathlib import Path

from pydantic import Field

from frugalseg.core.choose import choose, unknown_name
from frugalseg.core.config import Config, load_config
from frugalseg.core.errors import ConfigError, ReaderError, UnknownNameError
from frugalseg.core.files import write_atomic
from frugalseg.core.spec import Spec
from frugalseg.core.toml import toml_value
from frugalseg.data.listing import inside
from frugalseg.training.preset import Preset, load_preset

DOMAINS = ("source", "target", "validation")
Value = bool | int | float | str | tuple[str, ...]


class Recipe(Config):
    """One ready project."""

    summary: str = Field(description="what it is, in one line")
    paper: str = Field(description="the papers with this pair of data sets, and where in them")
    variants: tuple[str, ...] = Field((), description="what may stand after the name; the first is the default")
    source: str = Field(description="SPEC of the labelled source, its path relative to --data")
    target: str = Field(description="SPEC of the target, likewise")
    validation: str = Field(description="SPEC of the frames that models are scored on, likewise")
    classes: str = Field(description="name of the class set")
    project: dict[str, str] = Field(description="other fields of project.toml")
    presets: dict[str, tuple[str, ...]] = Field(description="presets of each method, the best known first")
    settings: dict[str, dict[str, Value]] = Field(
        default_factory=dict, description="settings of each method beside its preset's"
    )
    origins: dict[str, str] = Field(default_factory=dict, description="where those come from, where it is not plain")

    def preset(self, method: str, network: str) -> Preset | None:
        """Return the paper's settings for a method on a network, or None where no paper of ours has any."""
        known = [load_preset(name) for name in self.presets.get(method, ())]
        return next((preset for preset in known if preset.network == network), known[0] if known else None)


def names() -> tuple[str, ...]:
    """Return the names of all recipes."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in files if entry.name.endswith(".toml")))


def load(name: str) -> Recipe:
    """Return a recipe by `NAME` or `NAME:VARIANT`, its variant filled in.

    Raises:
        UnknownNameError: with the nearest name or variant.
    """
    base, colon, variant = name.partition(":")
    path = choose("recipe", base, {known: Path(__file__).parent / f"{known}.toml" for known in names()})
    recipe = load_config(Recipe, path)
    if colon and variant not in recipe.variants:
        raise UnknownNameError(f"--recipe {name}: {unknown_name(f'variant of {base}', variant, recipe.variants)}")
    chosen = variant or (recipe.variants[0] if recipe.variants else "")
    texts = {field: getattr(recipe, field).replace("{variant}", chosen) for field in (*DOMAINS, "classes", "summary")}
    return recipe.model_copy(update=texts)


def specs(name: str, recipe: Recipe, data: Path | None, given: set[str]) -> dict[str, str]:
    """Return the SPECs of the domains that are not `given`, with absolute paths.

    Raises:
        ConfigError: there is no --data.
        ReaderError: data sets are not there; names all of them, and what is there instead.
    """
    wanted = {domain: Spec.parse(getattr(recipe, domain)) for domain in DOMAINS if domain not in given}
    if wanted and data is None:
        raise ConfigError(
            f"--recipe {name} needs --data FOLDER, the folder that holds {_folders(wanted)}; "
            f"or give {', '.join(f'--{domain} SPEC' for domain in wanted)}."
        )
    found, missing = {}, {}
    for domain, spec in wanted.items():
        assert data is not None
        path = data.absolute() / spec.path
        if path.is_dir():
            found[domain] = str(Spec(spec.reader, str(path), spec.options))
        else:
            missing[domain] = spec
    if missing and data is not None:
        holds = f"It holds: {inside(data)}." if data.is_dir() else "There is no such folder."
        flags = "\n".join(f"  --{domain} {Spec(spec.reader, 'PATH', spec.options)}" for domain, spec in missing.items())
        raise ReaderError(
            f"--data {data}: {name} looks there for {_folders(missing)}. {holds}\n"
            f"Rename or link the folders, or say where the data is:\n{flags}"
        )
    return found


def write_settings(folder: Path, name: str, recipe: Recipe, network: str) -> list[Path]:
    """Write `settings/METHOD.toml` for each method of the recipe; return those that differ already: they stay."""
    kept = []
    for method in dict.fromkeys((*recipe.presets, *recipe.settings)):
        path, text = folder / f"{method}.toml", settings_text(name, recipe, method, network)
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text.encode())
        elif path.read_bytes() != text.encode():
            kept.append(path)
    return kept


def settings_text(name: str, recipe: Recipe, method: str, network: str) -> str:
    """Return the TOML of a method's settings, which says where they come from."""
    preset, own = recipe.preset(method, network), recipe.settings.get(method, {})
    lines = [f"# Written by frugalseg init --recipe {name}; yours to change."]
    if preset is not None:
        lines.append(f"# {preset.source}; there with {preset.network}.")
        lines += [f"{key} = {toml_value(value)}" for key, value in preset.settings_of(method).items() if key not in own]
    if own:
        lines.append(f"# {recipe.origins.get(method, 'For these data sets')}:")
        lines += [f"{key} = {toml_value(value)}" for key, value in own.items()]
    return "".join(f"{line}\n" for line in lines)


def _folders(wanted: dict[str, Spec]) -> str:
    return " and ".join(dict.fromkeys(f"{spec.path}/" for spec in wanted.values()))
