"""Settings: frozen pydantic models <-> one flat TOML file <-> `key=value` on the command line.

All of a user's mistakes are reported together. TOML has no null: `none` (as text) means None wherever None is allowed.
"""

import json
import tomllib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from frugalseg.core.choose import unknown_name
from frugalseg.core.errors import ConfigError
from frugalseg.core.toml import read_toml, toml_value

NONE = "none"


class Config(BaseModel):
    """Base of every settings class: frozen, unknown keys and NaN refused.

    Give each field a default and a description: `rows: int = Field(8, gt=0, description="grid rows over the frame")`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


Model = TypeVar("Model", bound=Config)


class Setting(NamedTuple):
    """One line of a settings table: the field's name, its type, its default (as in TOML) and what it means."""

    name: str
    type: str
    default: str
    description: str


def load_config(model: type[Model], toml_path: Path | None = None, overrides: Sequence[str] = ()) -> Model:
    """Return `model` filled from a flat TOML file and then from `key=value` overrides.

    An override's value is read as TOML (`rows=8`, `scales=[0.5, 1]`); what is no TOML, or does not fit as TOML, is
    text.

    Raises:
        ConfigError: listing every unknown key (with the nearest name) and every value that does not fit.
    """
    content = read_toml(toml_path) if toml_path else {}
    origin = {key: str(toml_path) for key in content}
    mistakes: list[str] = []
    texts: dict[str, str] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        key, text = key.strip(), text.strip()
        if not equals:
            mistakes.append(
                f"{override!r} is no setting. Write key=value, e.g. {next(iter(model.model_fields), 'key')}=…"
            )
            continue
        content[key], origin[key], texts[key] = _toml_or_text(text), "command line", text
    content = {key: None if value == NONE and _takes_none(model, key) else value for key, value in content.items()}
    config, errors = _validate(model, content, texts)
    mistakes += [_explain(model, error, origin) for error in errors]
    if config is None or mistakes:
        raise ConfigError(f"{len(mistakes)} mistake(s) in the settings:\n  " + "\n  ".join(mistakes))
    return config


def to_toml(config: Config) -> str:
    """Return the text of a TOML file that `load_config` reads back as `config`.

    Raises:
        ConfigError: a value TOML cannot hold.
    """
    lines = []
    for key, value in config.model_dump(mode="json").items():
        if value is not None:
            lines.append(f"{key} = {toml_value(value)}")
        elif type(config).model_fields[key].get_default(call_default_factory=True) is not None:
            lines.append(f"{key} = {toml_value(NONE)}")
    return "".join(f"{line}\n" for line in lines)


def describe(model: type[Config]) -> list[Setting]:
    """Return one line a field, in the order of the class: for `--help`, the docs and the report."""
    rows = []
    for name, info in model.model_fields.items():
        rows.append(
            Setting(name, _type_text(info.annotation), _default_text(model, name, info), info.description or "")
        )
    return rows


def _toml_or_text(text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return value["value"] if set(value) == {"value"} else text  # text with line ends could hold more than one value


def _takes_none(model: type[Config], key: str) -> bool:
    info = model.model_fields.get(key)
    return info is not None and type(None) in typing.get_args(info.annotation)


def _validate(
    model: type[Model], content: dict[str, Any], texts: dict[str, str]
) -> tuple[Model | None, list[ErrorDetails]]:
    """Validate strictly (no "5" for 5, no true for 1); what fails as TOML gets a second chance as plain text."""
    try:
        return model.model_validate_json(json.dumps(content, default=str), strict=True), []
    except ValidationError as error:
        errors = error.errors()
    again = {str(error["loc"][0]) for error in errors if error["loc"]} & set(texts)
    as_text = {**content, **{key: texts[key] for key in again if not isinstance(content[key], str)}}
    if as_text != content:
        try:
            return model.model_validate_json(json.dumps(as_text, default=str), strict=True), []
        except ValidationError as error:
            still_wrong = {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
            errors = [
                detail for detail in errors if not detail["loc"] or str(detail["loc"][0]) in still_wrong
            ] or error.errors()
    return None, errors


def _explain(model: type[Config], error: ErrorDetails, origin: dict[str, str]) -> str:
    key = str(error["loc"][0]) if error["loc"] else ""
    where = f"{origin.get(key, 'settings')}: "
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return where + unknown_name("setting", key, model.model_fields)
    if error["type"] == "missing":
        return f"{'.'.join(map(str, error['loc']))} is needed and was not given."
    if error["type"] == "value_error":  # a validator of ours: its message stands for itself
        return where + (f"{key}: " if key else "") + error["msg"].removeprefix("Value error, ")
    place = ".".join(map(str, error["loc"]))
    return f"{where}{place} = {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}."


def _type_text(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " | ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(NONE if argument is type(None) else _type_text(argument) for argument in arguments)
    if origin is typing.Annotated:
        return _type_text(arguments[0])
    if origin is not None:
        inner = ", ".join("…" if argument is ... else _type_text(argument) for argument in arguments)
        return f"{origin.__name__}[{inner}]"
    return getattr(annotation, "__name__", str(annotation))


def _default_text(model: type[Config], name: str, info: FieldInfo) -> str:
    if info.is_required():
        return "(needed)"
    default = info.get_default(call_default_factory=True)
    if default is None:
        return NONE
    return toml_value(
        model.__pydantic_serializer__.to_python(model.model_construct(**{name: default}), mode="json")[name]
    )
