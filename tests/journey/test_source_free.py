"""Starting from a checkpoint instead of source data: select, answer, retrain; what needs the source says so."""

import json
from pathlib import Path

import pytest

from frugalseg.cli.main import run
from frugalseg.data.toycity import write_dataset

pytestmark = pytest.mark.slow

SIZE_HW = (48, 64)
TINY = "height = 48\nwidth = 64\nbatch_size = 2\nsteps = 3\nlog_every = 1\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of another project, and target and validation frames."""
    root = tmp_path_factory.mktemp("source-free")
    for name, look, seed in (("source", "simulator", 1), ("target", "street", 2), ("validation", "street", 3)):
        write_dataset(root / name, look, seed, 3, 1, SIZE_HW)
    other = root / "other"
    settings(other)
    specs = ["--source", f"folder:{root / 'source'}", "--target", f"folder:{root / 'target'}"]
    assert run(["init", str(other), *specs, "--quiet"]) == 0
    assert run(["adapt", str(other), "--method", "source_only", "--quiet"]) == 0
    (root / "model").symlink_to(next((other / "runs").glob("*-adapt-source_only-*")))
    return root


def settings(folder: Path) -> None:
    (folder / "settings").mkdir(parents=True)
    for method in ("source_only", "cbst", "point_da"):
        (folder / "settings" / f"{method}.toml").write_text(TINY)


def begin(root: Path, name: str, *arguments: str) -> int:
    settings(root / name)
    specs = [f"--target=folder:{root / 'target'}", f"--validation=folder:{root / 'validation'}"]
    return run(["init", str(root / name), f"--checkpoint={root / 'model'}", *specs, *arguments])


def test_the_whole_loop_runs_without_source_data(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert begin(root, "new", "--budget", "10points/image", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["next"].startswith("frugalseg check") and found["settings"]["network"] == "shuffle_lite"
    (root / "model").unlink()  # the project has its own copy
    try:
        assert run(["run", str(root / "new"), "--simulate", "--json", "--quiet"]) == 0
    finally:
        (root / "model").symlink_to(next((root / "other" / "runs").glob("*-adapt-source_only-*")))
    result = json.loads(capsys.readouterr().out)
    assert {"source_only", "retrained", "report"} <= set(result) and "adapted" not in result
    stages = sorted(path.name for path in (root / "new" / "runs").iterdir() if not path.name.startswith("."))
    assert [name.split("-", 1)[1].rsplit("-", 1)[0] for name in stages] == [
        *("import-model", "evaluate", "select-expected_gain", "label", "retrain-point_da", "evaluate", "report")
    ]
    log = next((root / "new" / "runs").glob("*-retrain-point_da-*/log.jsonl")).read_text()
    assert '"human"' in log and '"source":' not in log


@pytest.mark.parametrize(("method", "said"), [("cbst", "self-training"), ("source_only", "source_only")])
def test_methods_that_need_the_source_say_so(
    root: Path, capsys: pytest.CaptureFixture[str], method: str, said: str
) -> None:
    assert begin(root, f"need-{method}", "--quiet") == 0
    assert run(["adapt", str(root / f"need-{method}"), "--method", method, "--quiet"]) == 2
    assert f"{said} learns from a labelled source" in capsys.readouterr().err


def test_other_classes_or_another_network_are_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "two.toml").write_text("[[class]]\nname='a'\ncolor=[0,0,0]\n[[class]]\nname='b'\ncolor=[9,9,9]\n")
    assert begin(root, "other-classes", "--classes", str(root / "two.toml")) == 2
    assert "this model predicts sky" in capsys.readouterr().err
    assert begin(root, "other-network", "--network", "unet:resnet18") == 2
    assert "is a shuffle_lite for 3 bands" in capsys.readouterr().err
    assert not any((root / name / "project.toml").exists() for name in ("other-classes", "other-network"))


def test_neither_source_nor_checkpoint(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "nothing"
    assert run(["init", str(folder), f"--target=folder:{root / 'target'}", "--json"]) == 0
    assert "--checkpoint" in json.loads(capsys.readouterr().out)["next"]
    assert run(["run", str(folder), "--simulate"]) == 2
    assert "neither source data nor a trained model" in capsys.readouterr().err
