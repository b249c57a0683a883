"""docs/file-formats.md names the keys and columns that the code writes, and its example is a real classes.toml."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest

from frugalseg.core.artifact import Stage
from frugalseg.core.classes import ClassSet
from frugalseg.core.records import Answer, Frame, Point, Provenance, Query, QueryKind, Region, Verdict
from frugalseg.workflow.project import ProjectSettings

PAGE = Path(__file__).parents[2] / "docs" / "file-formats.md"


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def first_column(section: str) -> list[str]:
    """All names in code style in the first column of the section's table."""
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def test_project_keys(sections: dict[str, str]) -> None:
    assert sorted(first_column(sections["project.toml"])) == sorted(ProjectSettings.model_fields)


def test_the_example_of_a_class_list_can_be_read(sections: dict[str, str]) -> None:
    block = re.search(r"```toml\n(.*?)```", sections["classes.toml"], re.DOTALL)[1]
    classes = ClassSet.from_dict(tomllib.loads(block), "the example")
    assert classes.names == ("road", "car")
    assert classes.lookup[[0, 7, 8, 26, 255]].tolist() == [255, 0, 0, 1, 255]
    assert classes.subset_ids("frequent") == (0,)


def test_manifest_columns(sections: dict[str, str]) -> None:
    assert sorted(first_column(sections["Manifest"])) == sorted(names(Frame))


def test_run_json_keys(sections: dict[str, str], tmp_path: Path) -> None:
    with Stage(tmp_path / "runs", "report", {}, {}, ["frugalseg"], 0) as stage:
        run = stage.commit({})
    assert sorted(first_column(sections["run.json"])) == sorted(json.loads((run.folder / "run.json").read_text()))


def test_columns_of_questions_and_answers(sections: dict[str, str]) -> None:
    text = sections["Questions and answers"]
    columns = [name for name in names(Query) if name not in ("point", "cell")] + names(Answer)
    columns += [f"point.{name}" for name in names(Point)] + [f"cell.{name}" for name in names(Region)]
    for name in [*columns, *map(str, QueryKind), *map(str, Verdict)]:
        assert f"`{name}`" in text, name


def test_provenance_values(sections: dict[str, str]) -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", sections["Partial labels"], re.MULTILINE)
    assert rows == [(str(entry.value), entry.name.lower()) for entry in Provenance]


def test_model_json_keys(sections: dict[str, str], tmp_path: Path) -> None:
    from frugalseg.core.classes import SemanticClass
    from frugalseg.models.build import build
    from frugalseg.models.store import save_model

    classes = ClassSet("two", (SemanticClass("a", (0, 0, 0), (0,)), SemanticClass("b", (9, 9, 9), (1,))))
    save_model(tmp_path, build("shuffle_lite", classes), {"method": "cbst", "input_height": 16, "input_width": 16})
    assert sorted(first_column(sections["Model folder"])) == sorted(json.loads((tmp_path / "model.json").read_text()))


def test_what_an_evaluation_keeps(sections: dict[str, str]) -> None:
    from frugalseg.evaluation.domain_sample import LIGHT
    from frugalseg.evaluation.drift import Shift
    from frugalseg.evaluation.drift_findings import DriftFindings
    from frugalseg.evaluation.frame_scores import FrameScore

    text = sections["Beside the confusion matrices"]
    for name in [*names(FrameScore), *names(DriftFindings), *names(Shift)]:
        assert f"`{name}`" in text, name
    assert ", ".join(LIGHT) in text


def test_settings_of_evaluate() -> None:
    from frugalseg.workflow.evaluate import EvaluateConfig

    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", (PAGE.parent / "report.md").read_text(encoding="utf-8"), re.MULTILINE)
    fields = EvaluateConfig.model_fields
    assert [(name, fields[name].default) for name, _ in rows] == [(name, int(value)) for name, value in rows]
    assert {name for name, _ in rows} == {name for name in EvaluateConfig.__annotations__}
