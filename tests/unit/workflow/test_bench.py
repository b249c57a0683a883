"""Comparisons on a tiny toy city: every run an ordinary stage, done once; what fails costs only itself."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from frugalseg.cli.main import run
from frugalseg.core.errors import ConfigError, StageOrderError, TrainingError
from frugalseg.data.toycity import write_dataset
from frugalseg.evaluation.confusion import Confusions, scores
from frugalseg.models.store import load_model
from frugalseg.workflow import bench_job
from frugalseg.workflow.bench import BenchOptions, label_free_methods, seed_project
from frugalseg.workflow.bench_grid import read_point, self_training_grid
from frugalseg.workflow.bench_job import TRAININGS, Job, done
from frugalseg.workflow.bench_jobs import alone, run_jobs
from frugalseg.workflow.bench_uda import uda
from frugalseg.workflow.catalog import METHODS, WITH_ANSWERS
from frugalseg.workflow.choose_model import CHOOSE, choose_model
from frugalseg.workflow.project import CONFUSIONS, MODEL, NETWORKS, Project, init_project
from frugalseg.workflow.stage import Options
from frugalseg.workflow.train import adapt

pytestmark = pytest.mark.slow

SIZE_HW = (32, 48)
TINY = f"height = {SIZE_HW[0]}\nwidth = {SIZE_HW[1]}\nbatch_size = 2\nsteps = 2\nlog_every = 1\n"
QUIET = Options(quiet=True)
TWO_SEEDS = BenchOptions(methods=("minent", "cbst"), seeds=(0, 1), jobs=0, allow_few=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bench")
    for name, look, seed in (("source", "simulator", 1), ("target", "street", 2), ("validation", "street", 3)):
        write_dataset(root / name, look, seed, 3, 1, SIZE_HW)
    return root


def new_project(data: Path, folder: Path) -> Project:
    (folder / "settings").mkdir(parents=True)
    (folder / "settings" / "source_only.toml").write_text(TINY + "zoom_max = 1.5\n")
    (folder / "settings" / "cbst.toml").write_text("rounds = 2\nlr = 1e-3\n")
    return init_project(folder, {name: f"folder:{data / name}" for name in ("source", "target", "validation")}, None)


@pytest.fixture(scope="module")
def compared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(data, tmp_path_factory.mktemp("compared") / "project")
    uda(project, TWO_SEEDS, QUIET)
    return project


def stages(project: Project) -> dict[str, int]:
    """Every finished stage below the project, those of its copies too, and when it was finished."""
    return {
        str(path.relative_to(project.folder)): path.stat().st_mtime_ns
        for path in project.folder.rglob("runs/*/run.json")
    }


def table(project: Project) -> dict:
    return json.loads((project.folder / "bench-uda.json").read_text(encoding="utf-8"))


def test_every_method_and_the_longer_source_are_compared_with_source_only(compared: Project) -> None:
    found = table(compared)
    assert [row["method"] for row in found["methods"]] == ["source_only", "cbst", "minent", "source_only_long"]
    assert [row["steps"] for row in found["methods"]] == [2, 2, 2, 4], "two rounds of one step are two steps"
    for row in found["methods"]:
        assert [one["seed"] for one in row["runs"]] == [0, 1]
        assert row["peak_process_bytes"] > 50 << 20 and row["cpu_s"] > 0
        for one in row["runs"]:
            training = compared.folder / one["stage"]
            assert json.loads((training / "run.json").read_text())["seed"] == one["seed"]
    assert found["methods"][0]["gain"] is None
    assert all(row["gain"]["low"] <= row["gain"]["value"] <= row["gain"]["high"] for row in found["methods"][1:])


def test_scores_and_gains_are_those_of_the_evaluations(compared: Project) -> None:
    for row in table(compared)["methods"]:
        for one in row["runs"]:
            copy = Project.open(compared.folder / "bench" / f"seed-{one['seed']}")
            model = (compared.folder / one["stage"] / MODEL).resolve()
            (scored,) = [r for r in copy.list() if r.name == "evaluate" and r.input("model").resolve() == model]
            assert one["miou"] == pytest.approx(scores(Confusions.load(scored.folder / CONFUSIONS).total()).miou)
    rows = {row["method"]: row for row in table(compared)["methods"]}
    gains = [a["miou"] - b["miou"] for a, b in zip(rows["cbst"]["runs"], rows["source_only"]["runs"], strict=True)]
    assert rows["cbst"]["gain"]["value"] == pytest.approx(sum(gains) / 2)


def test_all_share_start_size_and_augmentation_and_keep_what_is_their_own(compared: Project) -> None:
    for seed in (0, 1):
        copy = Project.open(compared.folder / "bench" / f"seed-{seed}")
        trained = {run.name: run for run in copy.list() if run.name.startswith("adapt")}
        source = next(r for r in copy.list() if r.name == "adapt-source_only" and r.config["steps"] == 2)
        for name in ("adapt-cbst", "adapt-minent"):
            config = trained[name].config
            assert trained[name].input("model").parent == source.folder
            shared = ("height", "width", "batch_size", "zoom_min", "zoom_max", "blur_ratio", "precision")
            assert {key: config[key] for key in shared} == {key: source.config[key] for key in shared}
        assert trained["adapt-cbst"].config["lr"] == 1e-3, "the user's own file counts"
        assert trained["adapt-cbst"].config["zoom_max"] == 1.5, "not cbst's own"


def test_again_is_a_no_op_and_the_project_keeps_only_the_result(compared: Project) -> None:
    before = stages(compared)
    again = uda(compared, TWO_SEEDS, QUIET)
    assert again.done_before
    assert stages(compared) == before
    assert [run.name for run in compared.list()] == ["bench-uda"]
    assert Project.open(compared.folder).settings.seed == 0


def test_the_files_tell_everything_and_need_nothing(compared: Project) -> None:
    page = (compared.folder / "bench-uda.html").read_text(encoding="utf-8")
    text = (compared.folder / "bench-uda.md").read_text(encoding="utf-8")
    for word in ("minent", "cbst", "source_only_long", "zoom_max = 1.5", "rank correlation"):
        assert word in page and word in text
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")


def test_the_label_free_choice_is_reported_for_each_seed(compared: Project) -> None:
    found = table(compared)["label_free"]
    assert [row["seed"] for row in found] == [0, 1]
    for row in found:
        assert row["scores"].keys() == {"source_only", "cbst", "minent", "source_only_long"}
        assert row["scores"][row["chosen"]] == max(row["scores"].values())
        assert -1 <= (row["spearman"] or 0) <= 1


def test_a_method_that_fails_costs_only_itself(compared: Project, tmp_path: Path, monkeypatch, capsys) -> None:
    project = Project.open(Path(shutil.copytree(compared.folder, tmp_path / "project")))
    trained = bench_job.adapt

    def adapt_or_not(opened, method, *rest):
        if method == "minent" and not rest[-1].dry_run and opened.settings.seed == 1:
            raise TrainingError("Training diverged: the loss is nan.")
        if method == "advent" and not rest[-1].dry_run:
            raise ZeroDivisionError("a slip")
        return trained(opened, method, *rest)

    monkeypatch.setattr(bench_job, "adapt", adapt_or_not)
    shutil.rmtree(next((project.folder / "bench" / "seed-1" / "runs").glob("*-adapt-minent-*")))
    arguments = ["bench", "uda", str(project.folder), "--methods", "minent,cbst,advent", "--seeds", "0,1"]
    assert run([*arguments, "--jobs", "0", "--allow-few", "--quiet", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["failed"]["minent, seed 1"] == "Training diverged: the loss is nan."
    assert "ZeroDivisionError: a slip" in found["failed"]["advent, seed 0"]
    rows = {row["method"]: row for row in found["methods"]}
    assert [one["seed"] for one in rows["minent"]["runs"]] == [0]
    assert [one["seed"] for one in rows["cbst"]["runs"]] == [0, 1]
    assert "runs" not in rows["advent"] and list(rows["advent"]["failed"]) == ["0", "1"]
    assert "Training diverged" in (project.folder / "bench-uda.html").read_text(encoding="utf-8")


def test_without_a_source_model_nothing_else_is_tried(data: Path, tmp_path: Path) -> None:
    copy = seed_project(new_project(data, tmp_path / "project"), 0)
    first = Job("source_only", "source_only", 0, str(copy.folder), ("lr=1e30",))
    other = Job("cbst", "cbst", 0, str(copy.folder), ("steps=1",), first)
    with alone(tmp_path / "work", QUIET) as lock:
        found = run_jobs(lock, [first, other], 0, QUIET, TRAININGS)
    assert "diverged" in found[first]
    assert found[other] == "source_only, seed 0 failed, and this starts from it."
    assert Job.from_json(other.to_json()) == other


def test_what_is_no_fair_comparison_is_refused(compared: Project, capsys) -> None:
    with pytest.raises(ConfigError, match=r"1 seed\(s\).*--allow-few"):
        uda(compared, BenchOptions(seeds=(0,)), QUIET)
    with pytest.raises(ConfigError, match="steps: the comparison decides this itself"):
        uda(compared, BenchOptions(settings=("steps=3",)), QUIET)
    with pytest.raises(ConfigError, match="There is no setting named 'threshold'"):
        uda(compared, BenchOptions(settings=("threshold=0.5",)), QUIET)
    with pytest.raises(ConfigError, match="point_da: not in this comparison"):
        uda(compared, BenchOptions(methods=("point_da",)), QUIET)
    with pytest.raises(ConfigError, match="--grid"):
        uda(compared, BenchOptions(grid=("0.2/0.05",)), QUIET)
    assert run(["bench", "ude", str(compared.folder)]) == 2
    assert "Did you mean 'uda'?" in capsys.readouterr().err
    assert run(["bench", "uda", str(compared.folder), "--seeds", "0,x"]) == 2
    assert "--seeds '0,x'" in capsys.readouterr().err


def test_all_label_free_methods_are_in_the_comparison(compared: Project) -> None:
    assert set(label_free_methods()) == set(METHODS) - set(WITH_ANSWERS)
    planned = uda(compared, BenchOptions(), Options(dry_run=True)).found
    assert set(planned["methods"]) == {*label_free_methods(), "source_only_long"}
    assert planned["methods"]["intrada"]["steps"] == 2, "two stages of one step"


def test_choose_model_picks_by_the_rule_and_never_by_labels(compared: Project, tmp_path: Path) -> None:
    copy = Project.open(Path(shutil.copytree(compared.folder / "bench" / "seed-0", tmp_path / "copy")))
    with pytest.raises(StageOrderError):
        choose_model(new_project_without_models(copy, tmp_path / "empty"), QUIET)
    chosen = choose_model(copy, QUIET)
    rows = chosen.found["candidates"]
    assert [row["chosen"] for row in rows] == [row["score"] == max(r["score"] for r in rows) for row in rows]
    assert chosen.found["scored"] == 4 and chosen.found["spearman"] is not None
    winner = copy.run(chosen.found["chosen"])
    assert torch.equal(weight(chosen.where), weight(winner.folder))
    assert copy.latest_model() != chosen.where, "other verbs go on with the newest model"
    assert choose_model(copy, QUIET).done_before
    for stage in copy.list():
        if stage.name in ("evaluate", CHOOSE):
            shutil.rmtree(stage.folder)
    blind = choose_model(copy, QUIET)
    assert blind.found["chosen"] == chosen.found["chosen"]
    assert (blind.found["scored"], blind.found["spearman"]) == (0, None)


def new_project_without_models(project: Project, folder: Path) -> Project:
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns("runs"))
    return Project.open(folder)


def weight(folder: Path) -> torch.Tensor:
    return next(load_model(folder / MODEL).parameters())


def test_a_kept_network_is_what_training_would_have_ended_with(data: Path, tmp_path: Path) -> None:
    """With statistics recomputed at the end, which `finish` does to the network itself: the rest must not notice."""
    project = seed_project(new_project(data, tmp_path / "project"), 0)
    source = adapt(project, "source_only", None, QUIET).where

    def train(*more: str) -> Path:
        tiny = tuple(line.replace(" ", "") for line in TINY.splitlines())
        return adapt(
            project, "cbst", source, Options(overrides=(*tiny, "recompute_statistics=2", *more), quiet=True)
        ).where

    kept, plain, first = train("keep_networks=true"), train(), train("rounds=1")
    assert [path.name for path in (kept / NETWORKS).iterdir()] == ["round-1"]
    assert not (plain / NETWORKS).exists()
    for one, other in ((kept, plain), (kept / NETWORKS / "round-1", first)):
        ours, theirs = (load_model(folder / MODEL).state_dict() for folder in (one, other))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_grid_scores_every_round_of_every_setting(data: Path, tmp_path: Path) -> None:
    project = new_project(data, tmp_path / "project")
    asked = BenchOptions(
        methods=("cbst",),
        seeds=(0,),
        jobs=0,
        allow_few=True,
        grid=("0.2/0.05", "0.4/0.1"),
        rounds=2,
        steps=2,
        settings=("height=32", "width=48", "batch_size=2"),
    )
    result = self_training_grid(project, asked, QUIET)
    curves = result.found["miou"]["cbst"]
    assert list(curves) == ["0.2/0.05", "0.4/0.1"]
    assert all(len(points) == 3 and all(len(seeds) == 1 for seeds in points) for points in curves.values())
    assert curves["0.2/0.05"][0] == curves["0.4/0.1"][0], "round 0 is the same source model"
    copy = Project.open(project.folder / "bench" / "seed-0")
    ratios = [
        [phase["ratio"] for phase in run.extra["phases"].values()] for run in copy.list() if run.name == "adapt-cbst"
    ]
    assert ratios == [pytest.approx([0.2, 0.25]), pytest.approx([0.4, 0.5])]
    assert self_training_grid(project, asked, QUIET).done_before
    assert "<svg" in (project.folder / "bench-self_training_grid.html").read_text(encoding="utf-8")
    assert "| 0.4/0.1 |" in (project.folder / "bench-self_training_grid.md").read_text(encoding="utf-8")


def test_points_of_the_grid_are_read_or_refused() -> None:
    assert read_point("0.2/0.05") == (0.2, 0.05)
    for wrong in ("0.2", "0/0.1", "20/5", "a/b", "0.2/0.05/1"):
        with pytest.raises(ConfigError, match="expected p0/step"):
            read_point(wrong)


@pytest.mark.slow
def test_killed_and_repeated_it_goes_on_and_its_workers_leave_with_it(data: Path, tmp_path: Path) -> None:
    """SIGKILL to the comparison: its worker saves and leaves, and the next one goes on where that stood."""
    project = new_project(data, tmp_path / "project")
    arguments = [
        str(project.folder),
        "--methods",
        "source_only",
        "--seeds",
        "0",
        "--allow-few",
        "--set",
        "save_every=1000",
    ]
    command = [
        sys.executable,
        "-c",
        "from frugalseg.cli.main import main; main()",
        "bench",
        "uda",
        *arguments,
        "--json",
    ]
    (project.folder / "settings" / "source_only.toml").write_text(TINY.replace("steps = 2", "steps = 80"))
    first = subprocess.Popen([*command, "--steps", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    log = project.folder / "bench" / "seed-0" / "runs"
    wait_for(lambda: any(log.glob(".part-adapt-source_only-*/log.jsonl")))
    first.send_signal(signal.SIGKILL)
    first.communicate()
    again = subprocess.run([*command, "--steps", "2"], capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    (trained,) = [
        r for r in Project.open(log.parent).list() if r.name == "adapt-source_only" and r.config["steps"] == 80
    ]
    assert "resumed at step" in (trained.folder / "log.jsonl").read_text()
    assert done(Job("x", "source_only", 0, str(log.parent), ())) is None, "other settings are another run"


def wait_for(condition, limit_s: float = 120.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_chain_goes_on_from_the_network_of_the_method_before(data: Path, tmp_path: Path) -> None:
    project = new_project(data, tmp_path / "project")
    asked = BenchOptions(methods=("minent+cbst",), seeds=(0,), jobs=0, allow_few=True)
    uda(project, asked, QUIET)
    rows = {row["method"]: row for row in table(project)["methods"]}
    assert list(rows) == ["source_only", "cbst", "minent", "minent+cbst", "source_only_long"]
    assert rows["minent+cbst"]["steps"] == rows["minent"]["steps"] + rows["cbst"]["steps"]
    runs = [run for run in Project.open(project.folder / "bench" / "seed-0").list() if run.name.startswith("adapt")]
    came_from = {run.folder.name: run.input("model").parent.name for run in runs if run.has_input("model")}
    minent = next(run.folder.name for run in runs if run.name == "adapt-minent")
    assert minent in [origin for name, origin in came_from.items() if "cbst" in name]
    with pytest.raises(ConfigError, match="source_only is what every method starts from"):
        uda(project, BenchOptions(methods=("source_only+cbst",)), QUIET)
