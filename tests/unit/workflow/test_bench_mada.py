"""`bench mada` on a tiny world: the ablation by name, each row with its frames and settings, sweeps without doubles."""

import json
from pathlib import Path

import pytest

from frugalseg.cli.main import run
from frugalseg.core.errors import BusyError, ConfigError
from frugalseg.core.records import Query, QueryKind
from frugalseg.core.table import read_records
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow import bench_job
from frugalseg.workflow.bench import BenchOptions
from frugalseg.workflow.bench_job import Ask, Job
from frugalseg.workflow.bench_mada import PAPER_WARM_UP, even_steps, mada, read_sweeps, rows_of
from frugalseg.workflow.catalog import IMAGE_SELECTORS
from frugalseg.workflow.project import QUESTIONS, Project, init_project
from frugalseg.workflow.stage import Options, StageResult

SIZE_HW = (32, 48)
QUIET, DRY = Options(quiet=True), Options(dry_run=True, quiet=True)
TEN, MANY = {"K": "10", "V": "10"}, {"K": 999, "V": 999}
LADDER = ("m1", "m2", "m3", "m4", "m1_teacher", "mu", "m4_teacher")
TINY = {  # settings/NAME.toml
    "source_only": "steps = 1\n",
    "adaptsegnet": "steps = 1\ndiscriminator_width = 4\n",
    "mada": "least_feature_px = 1\n",
}
ONE_SEED = BenchOptions(
    seeds=(0,),
    jobs=0,
    allow_few=True,
    steps=2,
    settings=(f"height={SIZE_HW[0]}", f"width={SIZE_HW[1]}", "batch_size=2"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bench")
    write_dataset(root / "source", "simulator", 1, 2, 1, SIZE_HW)
    write_dataset(root / "validation", "street", 3, 2, 1, SIZE_HW)
    write_dataset(root / "target", "street", 2, 4, 5, SIZE_HW)  # 20 frames: 5 % is one
    return root


def project_of(data: Path, folder: Path, **settings: str) -> Project:
    specs = {name: f"folder:{data / name}" for name in ("source", "target", "validation")}
    project = init_project(folder, {**specs, **settings}, None)
    (folder / "settings").mkdir(exist_ok=True)
    for name, text in TINY.items():
        (folder / "settings" / f"{name}.toml").write_text(text)
    return project


@pytest.fixture(scope="module")
def project(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return project_of(data, tmp_path_factory.mktemp("planned") / "project")


@pytest.fixture(scope="module")
def compared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = project_of(data, tmp_path_factory.mktemp("compared") / "project")
    mada(project, ONE_SEED, QUIET)
    return project


def test_the_rows_are_the_papers_ablation() -> None:
    rows = rows_of("multi_anchor", {}, TEN)
    assert tuple(rows) == LADDER
    assert [rows[name].over for name in ("m1", "m2", "m3", "m4", "mu")] == ["m0", "m1", "m2", "m3", "m1"]
    assert {rows[name].ask for name in LADDER if name != "mu"} == {Ask("multi_anchor", "5%images")}
    assert rows["mu"].ask.everything and rows["mu"].settings == rows["m1"].settings


def test_sweeps_change_one_thing_each_and_repeat_no_row_of_the_ablation() -> None:
    assert read_sweeps((), MANY) == {}
    sweeps = read_sweeps(("K=5", "K=10", "V", "budget", "selector"), MANY)
    assert sweeps["K"] == ("5", "10") and sweeps["V"] == ("1", "2", "5", "10", "20", "50", "100")
    assert sweeps["selector"] == IMAGE_SELECTORS
    rows = rows_of("multi_anchor", sweeps, TEN)
    swept = [name for name in rows if name not in LADDER]
    assert swept == [
        "m1_1%", "m1_2%", "m1_10%", "m1_20%", "m1_K5",
        *(f"m1_{name}" for name in IMAGE_SELECTORS if name != "multi_anchor"),
        "m4_V1", "m4_V2", "m4_V5", "m4_V20", "m4_V50", "m4_V100",
    ]  # fmt: skip
    m1 = rows["m1"]
    assert all(rows[name].settings == m1.settings for name in swept if name.startswith("m1")), "selectors at M(1)"
    assert rows["m1_2%"].ask == Ask("multi_anchor", "2%images")
    assert rows["m1_K5"].ask == Ask("multi_anchor", "5%images", ("anchors=5",))
    assert rows["m1_aada"].ask == Ask("aada", "5%images")
    assert rows["m4_V5"].ask == m1.ask and rows["m4_V5"].settings == (*rows["m4"].settings, "anchors=5")
    assert all(rows[name].over == ("m4" if name.startswith("m4") else "m1") for name in swept)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("P", "--grid P: expected K, V, budget, selector"),
        ("K=0", "a value of K is a whole number from 1 on"),
        ("V=2.5", "a value of V"),
        ("budget=101", "a value of budget"),
        ("K=50", "more anchors than the 34 images"),
        ("selector=margin", "a value of selector is one of random_images"),
    ],
)
def test_what_is_no_sweep_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_sweeps((text,), {"K": 34, "V": 305})


def test_a_sweep_has_no_more_anchors_than_there_are_images() -> None:
    sweeps = read_sweeps(("K", "V=200"), {"K": 34, "V": 305})
    assert sweeps == {"K": ("1", "2", "5", "10", "20"), "V": ("200",)}


def test_a_value_that_the_papers_rows_have_is_not_run_again() -> None:
    sweeps = read_sweeps(("K", "V"), MANY)
    rows = rows_of("multi_anchor", sweeps, {"K": "5", "V": "20"})
    assert {"m1_K10", "m4_V10"} <= rows.keys() and not {"m1_K5", "m4_V20"} & rows.keys()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("align_weight=0", "align_weight = 0 leaves no soft alignment for m2"),
        ("anchor_ema=1", "anchor_ema = 1 keeps the anchors of m3"),
        ("pseudo_weight=0", "pseudo_weight = 0 leaves no pseudo-labels for m4"),
    ],
)
def test_settings_that_make_two_rows_one_are_refused(project: Project, setting: str, message: str) -> None:
    name, value = setting.split("=")
    path = project.folder / "settings" / "mada.toml"
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.is_file() else ""
    path.write_text(f"{before}{name} = {value}.0\n")
    try:
        with pytest.raises(ConfigError, match=message):
            mada(project, BenchOptions(seeds=(0,), allow_few=True), DRY)
    finally:
        path.write_text(before)


def test_anchors_of_a_strategy_without_any_are_no_sweep(data: Path, tmp_path: Path) -> None:
    project = project_of(data, tmp_path / "project", strategy="entropy_images")
    with pytest.raises(ConfigError, match="--grid K: the project asks by entropy_images, which has no anchors"):
        mada(project, BenchOptions(grid=("K",)), DRY)


def test_all_rows_take_the_same_number_of_steps(project: Project) -> None:
    told = mada(project, BenchOptions(seeds=(0,), allow_few=True, steps=100), DRY).found
    steps = {name: row["settings"][-1] for name, row in told["rows"].items()}
    assert steps == {name: "steps=100" if name in ("m1", "mu") else "steps=50" for name in LADDER}
    assert even_steps(project, ("steps=7",), ("unlabelled=none", "align_weight=0.0"), None)[-1] == "steps=14"
    assert told["settings"]["m0"]["discriminator"] == "mada" and told["settings"]["m0"]["adv_weight"] == 0.01


def test_the_project_may_ask_otherwise(data: Path, tmp_path: Path) -> None:
    project = project_of(data, tmp_path / "project", strategy="diverse_images")
    told = mada(project, BenchOptions(methods=("advent",), grid=("K=2",)), DRY).found
    assert told["asks"] == "advent" and told["settings"]["m0"]["discriminator"] == "adaptsegnet"
    assert told["rows"]["m1_K2"]["strategy"] == "diverse_images" and told["rows"]["mu"]["everything"]


def test_what_cannot_be_compared_is_refused(project: Project) -> None:
    for asked, message in (
        (BenchOptions(rounds=2), "--rounds: not for `bench mada`"),
        (BenchOptions(methods=("cbst", "advent")), "one method warms up"),
        (BenchOptions(methods=("source_only",)), "source_only: not in this comparison"),
        (BenchOptions(seeds=(0,)), "--allow-few"),
    ):
        with pytest.raises(ConfigError, match=message):
            mada(project, asked, DRY)


def test_a_project_without_alignment_has_no_ablation(data: Path, tmp_path: Path) -> None:
    project = project_of(data, tmp_path / "project")
    (project.folder / "settings" / "mada.toml").write_text('align_weight = 0.0\nunlabelled = "mean_teacher"\n')
    with pytest.raises(ConfigError, match="align_weight = 0 leaves no soft alignment"):
        mada(project, BenchOptions(), DRY)
    (project.folder / "settings" / "mada.toml").write_text('unlabelled = "mean_teacher"\n')
    told = mada(project, BenchOptions(), DRY).found["rows"]
    assert "unlabelled=pseudo" in told["m4"]["settings"] and "unlabelled=none" in told["m2"]["settings"]


def test_a_job_that_labels_everything_survives_the_way_to_its_process() -> None:
    first = Job("m0", "adaptsegnet", 3, "somewhere", PAPER_WARM_UP)
    job = Job("mu", "mada", 3, "somewhere", (), first, ask=Ask(everything=True))
    assert Job.from_json(job.to_json()) == job


@pytest.mark.slow
def test_every_row_learns_from_its_frames_in_its_own_way(compared: Project, capsys) -> None:
    found = json.loads((compared.folder / "bench-mada.json").read_text(encoding="utf-8"))
    rows = {row["method"]: row for row in found["methods"]}
    assert tuple(rows) == ("m0", "source_only", *LADDER) and found["compared_with"] == "m0"
    copy = Project.open(compared.folder / "bench" / "seed-0")
    trained = {name: copy.run(str(compared.folder / row["runs"][0]["stage"])) for name, row in rows.items()}
    assert len({trained[name].input("model") for name in LADDER}) == 1
    assert trained["m1"].input("model").parent == trained["m0"].folder
    assert {trained[name].input("answers") for name in LADDER if name != "mu"} == {trained["m1"].input("answers")}
    asked = copy.run(str(trained["m1"].input("answers"))).input("questions")
    (query,) = read_records(asked / QUESTIONS, Query)
    assert query.kind is QueryKind.IMAGE and copy.run(str(asked)).name == "select-multi_anchor"
    frames = {name: trained[name].extra["phases"]["fine_tuning"]["selected_frames"] for name in LADDER}
    assert frames == {name: 20 if name == "mu" else 1 for name in LADDER}
    two_stages = {name for name in LADDER if "semi_supervised" in trained[name].extra["phases"]}
    assert two_stages == {"m2", "m3", "m4", "m1_teacher", "m4_teacher"}
    assert rows["mu"]["asked"] == {"frames": 20, "human_seconds": 20 * 4500, "over": "m1"}
    before = sorted(compared.folder.rglob("runs/*/run.json"))
    assert mada(compared, ONE_SEED, QUIET).done_before and sorted(compared.folder.rglob("runs/*/run.json")) == before


@pytest.mark.slow
def test_from_the_command_line_it_says_what_it_would_do(project: Project, capsys) -> None:
    arguments = ["bench", "mada", str(project.folder), "--allow-few", "--seeds", "0", "--json", "--quiet", "--dry-run"]
    assert run([*arguments, "--grid", "K=1,budget"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"m1_K1", "m1_1%", "m1_20%"} <= told["rows"].keys() and told["rows"]["m1_20%"]["budget"] == "20%images"


def test_a_stage_that_another_job_is_at_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_job, "WAIT_S", 0.0)
    looks = []

    def stage() -> StageResult:
        looks.append(1)
        if len(looks) < 3:
            raise BusyError("process 7 is at work here")
        return StageResult("select", tmp_path, {})

    assert bench_job._shared(stage) == tmp_path and len(looks) == 3
