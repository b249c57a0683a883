from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from frugalseg.core.config import Config, Setting, describe, load_config, to_toml
from frugalseg.core.errors import ConfigError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


class Example(Config):
    rows: int = Field(8, gt=0, description="grid rows over the frame")
    ratio: float = 0.5
    name: str = "toy"
    mode: Literal["fast", "exact"] = "fast"
    limit: int | None = None
    seed: int | None = 3
    scales: tuple[float, ...] = (0.5, 1.0)
    weights: dict[str, float] = Field(default_factory=dict)
    file: Path | None = None

    @field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        if value == "forbidden":
            raise ValueError("a name that is not forbidden is needed.")
        return value


class Needed(Config):
    budget: str


@settings(max_examples=60)
@given(
    rows=st.integers(1, 2**60),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    name=TEXT.filter(lambda name: name != "forbidden"),
    limit=st.none() | st.integers(-5, 5),
    seed=st.none() | st.integers(0, 5),
    scales=st.lists(st.floats(-1e6, 1e6), max_size=3).map(tuple),
    weights=st.dictionaries(TEXT, st.floats(0, 1), max_size=3),
)
def test_every_config_reads_back_as_itself(tmp_path_factory, **values):
    config = Example(**values, file=Path("a b.toml"))
    path = tmp_path_factory.getbasetemp() / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8", newline="")
    assert load_config(Example, path) == config
    assert load_config(Example, None, to_toml(config).splitlines()) == config


def test_nothing_given_is_the_defaults():
    assert load_config(Example) == Example()


def test_the_command_line_wins_over_the_file(tmp_path):
    (tmp_path / "a.toml").write_text("rows = 4\nratio = 0.25\n")
    config = load_config(
        Example, tmp_path / "a.toml", ["rows=5", "rows=6", "scales=[1, 2]", "name = a = b", "mode=exact"]
    )
    assert (config.rows, config.ratio, config.scales, config.name) == (6, 0.25, (1.0, 2.0), "a = b")
    assert config.mode == "exact"


@pytest.mark.parametrize("text", ["5", "true", "1.0", "[1]", "2026-01-01", "", "none", "'quoted", "a\nb = 3"])
def test_a_text_setting_takes_any_text(text):
    assert load_config(Example, None, [f"name={text}"]).name == text


def test_none_means_none_where_it_may():
    config = load_config(Example, None, ["seed=none", "limit=none", "name=none"])
    assert (config.seed, config.limit, config.name) == (None, None, "none")
    assert 'seed = "none"' in to_toml(config)


def test_all_mistakes_come_at_once_with_their_origin(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("rowz = 4\nratio = 'half'\nrows = 0\nname = 'forbidden'\n")
    with pytest.raises(ConfigError) as caught:
        load_config(Example, path, ["mode=slow", "limitt=3", "seed", "scales=[1, 'x']"])
    message = str(caught.value)
    assert message.startswith("8 mistake(s) in the settings:")
    for line in (
        f"{path}: There is no setting named 'rowz'. Did you mean 'rows'?",
        "command line: There is no setting named 'limitt'. Did you mean 'limit'?",
        f"{path}: ratio = 'half': ",
        f"{path}: rows = 0: input should be greater than 0.",
        f"{path}: name: a name that is not forbidden is needed.",
        "command line: mode = 'slow': input should be 'fast' or 'exact'.",
        "command line: scales.1 = 'x': ",
        "'seed' is no setting. Write key=value, e.g. rows=",
    ):
        assert line in message


@pytest.mark.parametrize(
    "override",
    [
        "rows=1.5",
        "rows=true",
        "rows='5'",
        "rows=" + "9" * 5000,
        "ratio=nan",
        "ratio=-inf",
        "ratio=true",
        "limit=''",
        "=3",
    ],
)
def test_nothing_is_cut_or_guessed(override):
    with pytest.raises(ConfigError, match=r"^1 mistake\(s\)"):
        load_config(Example, None, [override])


def test_a_whole_number_is_a_number():
    assert load_config(Example, None, ["ratio=1"]).ratio == 1.0


def test_a_needed_setting_is_asked_for():
    with pytest.raises(ConfigError, match="budget is needed and was not given"):
        load_config(Needed)


def test_a_config_cannot_be_changed():
    with pytest.raises(ValidationError):
        Example().rows = 9


def test_the_settings_table():
    table = {setting.name: setting for setting in describe(Example)}
    assert list(table) == list(Example.model_fields)
    assert table["rows"] == Setting("rows", "int", "8", "grid rows over the frame")
    assert table["mode"][1:3] == ("'fast' | 'exact'", '"fast"')
    assert table["limit"][1:3] == ("int | none", "none")
    assert table["scales"][1:3] == ("tuple[float, …]", "[0.5, 1.0]")
    assert table["weights"][1:3] == ("dict[str, float]", "{}")
    assert describe(Needed)[0].default == "(needed)"
