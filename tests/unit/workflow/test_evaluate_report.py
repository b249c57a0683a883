"""What `evaluate` keeps beside the scores, and that `report` only reads it; old evaluations still give a report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from frugalseg.core.codec import read_label_png
from frugalseg.core.table import read_records
from frugalseg.data.toycity import write_dataset
from frugalseg.evaluation.confusion import Confusions
from frugalseg.evaluation.domain_sample import DomainSample
from frugalseg.evaluation.drift_findings import DriftFindings
from frugalseg.evaluation.frame_scores import FrameScore, extremes
from frugalseg.evaluation.reliability import PIXELS, RIGHT, Reliability
from frugalseg.models.build import build
from frugalseg.models.store import load_model, save_model
from frugalseg.training.losses import entropy_NHW
from frugalseg.training.predict import PredictConfig, Predictor
from frugalseg.workflow.evaluate import evaluate_stage
from frugalseg.workflow.exhibits import exhibits
from frugalseg.workflow.look import Viewer
from frugalseg.workflow.project import MODEL, Project, init_project
from frugalseg.workflow.report import report_stage
from frugalseg.workflow.stage import Options, run_stage

SIZE_HW = (32, 48)
QUIET = Options(quiet=True)
FRAMES = {"source": 9, "target": 8, "validation": 10}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A project with a model that learned nothing, evaluated."""
    root = tmp_path_factory.mktemp("report")
    for seed, (name, count) in enumerate(FRAMES.items()):
        write_dataset(root / name, "simulator" if name == "source" else "street", seed, count, 1, SIZE_HW)
    opened = init_project(root / "project", {name: f"folder:{root / name}" for name in FRAMES}, None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build("shuffle_lite", opened.classes)

    def work(folder: Path) -> dict[str, object]:
        save_model(folder / MODEL, network, {"method": "none", "input_height": SIZE_HW[0], "input_width": SIZE_HW[1]})
        return {}

    run_stage(opened, "adapt-source_only", {"target": opened.manifest_folder("target")}, {}, work, QUIET)
    evaluate_stage(opened, None, Options(overrides=("gallery_frames=2",), quiet=True))
    return opened


@pytest.fixture(scope="module")
def evaluated(project):
    return project.latest(("evaluate",), "an evaluation", "evaluate")


def test_counts_and_scores_are_those_of_the_predictions(project, evaluated):
    predictor = Predictor(load_model(evaluated.input("model")), SIZE_HW)
    confusions = Confusions.load(evaluated.folder / "confusions.npz")
    reliability = Reliability.load(evaluated.folder / "reliability.npz")
    assert reliability.counts[..., PIXELS].sum() == confusions.total().sum()
    assert reliability.counts[..., RIGHT].sum() == confusions.total()[:, :-1].trace()
    assert evaluated.extra["ece"] == pytest.approx(reliability.curve().ece)
    scores = {score.key: score for score in read_records(evaluated.folder / "frames.parquet", FrameScore)}
    assert sorted(scores) == list(confusions.keys)
    viewer = Viewer(evaluated.input("model"), PredictConfig())
    for frame in project.manifest("validation").frames[:2]:
        look = viewer.look(frame)
        logits = predictor.logits(np.array(viewer._cache.read(frame)))
        assert np.array_equal(look.prediction_HW, logits.argmax(dim=0).numpy())
        assert scores[frame.key].entropy_01 == pytest.approx(float(entropy_NHW(logits[None]).mean()), abs=1e-5)
        assert look.confidence_HW.min() >= 1 / len(project.classes) - 1e-6
        assert scores[frame.key] == FrameScore.of(frame.key, confusions[frame.key], scores[frame.key].entropy_01)


def test_the_gallery_holds_the_extremes_and_their_predictions(project, evaluated):
    scores = read_records(evaluated.folder / "frames.parquet", FrameScore)
    keys = {key for group in extremes(scores, 2) for key in group}
    kept = {path.stem for path in (evaluated.folder / "gallery" / "prediction").iterdir()}
    assert kept == keys == {path.stem for path in (evaluated.folder / "gallery" / "entropy").iterdir()}
    viewer, key = Viewer(evaluated.input("model"), PredictConfig()), sorted(keys)[0]
    look = viewer.look(project.manifest("validation").by_key[key])
    assert np.array_equal(
        read_label_png(evaluated.folder / "gallery" / "prediction" / f"{key}.png"), look.prediction_HW
    )


def test_drift_of_both_pairs(evaluated):
    findings = DriftFindings.load(evaluated.folder / "drift.json")
    assert [(pair.reference.domain, pair.other.domain) for pair in findings.pairs] == [
        ("source", "target"),
        ("target", "validation"),
    ]
    assert evaluated.extra["drift"]["target against source"]["score"] == pytest.approx(findings.pairs[0].score)
    for name, count in FRAMES.items():
        sample = DomainSample.load(evaluated.folder / "domains" / f"{name}.npz")
        assert len(sample) == count and sample.stack("shares").sum(axis=1) == pytest.approx(1)


def test_the_features_are_what_the_last_convolution_sees(project, evaluated):
    viewer = Viewer(evaluated.input("model"), PredictConfig())
    network = load_model(evaluated.input("model"))
    frame = project.manifest("target").frames[0]
    image = torch.from_numpy(viewer._cache.read(frame)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = network(image).features.mean(dim=(0, 2, 3))
    assert viewer.look(frame).summary.features == pytest.approx(expected.numpy(), abs=1e-4)
    seen_twice = Viewer(evaluated.input("model"), PredictConfig(scales=(1.0,), flip=True)).look(frame).summary.features
    assert seen_twice.shape == expected.shape and np.isfinite(seen_twice).all()


def test_evaluating_again_does_nothing(project, evaluated):
    again = evaluate_stage(project, None, Options(overrides=("gallery_frames=2",), quiet=True))
    assert again.done_before and again.where == evaluated.folder


def test_a_source_image_that_cannot_be_read_is_refused_by_name_and_the_rest_goes_on(project):
    path = Path(project.manifest("source").frames[0].image)
    good = path.read_bytes()
    try:
        path.write_bytes(b"nothing")
        result = evaluate_stage(project, None, Options(overrides=("drift_frames=50",), quiet=True))
    finally:
        path.write_bytes(good)
    findings = DriftFindings.load(result.where / "drift.json")
    assert len(findings.refused) == 1 and path.name in findings.refused[0]
    assert findings.pairs[0].reference.frames == FRAMES["source"] - 1


def test_no_drift_and_no_gallery_on_demand(project):
    options = Options(overrides=("drift_frames=0", "gallery_frames=0"), quiet=True)
    result = evaluate_stage(project, None, options)
    assert not (result.where / "drift.json").exists() and not (result.where / "gallery").exists()
    run = next(run for run in project.list() if run.folder == result.where)
    shown = exhibits(project, project.list(), ("m", run))
    assert shown.gallery is None and shown.drift is None
    assert [reason.split(" with ")[1] for _, reason in shown.left_out] == ["gallery_frames = 0", "drift_frames = 0"]


def test_the_sections_need_no_model_any_more(project, evaluated, tmp_path):
    shutil.copytree(project.folder, tmp_path / "without")
    shutil.rmtree(next((tmp_path / "without" / "runs").glob("*-adapt-*")) / MODEL)
    opened = Project.open(tmp_path / "without")
    shown = exhibits(opened, opened.list(), ("m", opened.run(evaluated.folder.name)))
    assert shown.left_out == () and shown.drift is not None
    assert set(shown.gallery.frames) == {key for group in shown.gallery.groups for key in group}


def test_an_evaluation_of_an_older_version_still_gives_a_report(project, evaluated, tmp_path):
    shutil.copytree(project.folder, tmp_path / "old")
    for run in (tmp_path / "old" / "runs").iterdir():
        if "-evaluate-" not in run.name:
            continue
        for name in ("reliability.npz", "frames.parquet", "drift.json"):
            (run / name).unlink(missing_ok=True)
        for name in ("gallery", "domains"):
            shutil.rmtree(run / name, ignore_errors=True)
        content = json.loads((run / "run.json").read_text())
        content["config"] = {"scales": [1.0], "flip": False, "tile": 0}
        (run / "run.json").write_text(json.dumps(content))
    old = Project.open(tmp_path / "old")
    html = (report_stage(old, QUIET).where / "report.html").read_text()
    assert 'id="mixups"' in html and 'id="gallery"' not in html and 'id="reliability"' not in html
    assert html.count("run `frugalseg evaluate` once more") == 3


def test_a_check_that_left_check_json_is_told(project, evaluated, tmp_path):
    shutil.copytree(project.folder, tmp_path / "checked")
    opened = Project.open(tmp_path / "checked")
    contents = [
        {},
        {"domains": {"source": {"frames": 9, "light": {"brightness": 0.4, "brightness_sd": 0.1, "warmth": None}}},
         "problems": [{}]},
        {"problems": [{"domain": "source", "path": "a.png", "what": "holds id 77", "mend": "Map it."}],
         "remarks": [{"domain": "target", "text": "alike"}], "gap": "Darker."},
    ]  # fmt: skip
    key = opened.manifest("source").frames[0].key
    table = f"key,reason\n{key},too dark\n/data/a.gif,refused: seen\n"  # a refused file is no frame that is left out
    (opened.manifest_folder("source") / "quarantine.csv").write_text(table)
    found = []
    for number, content in enumerate(contents):

        def work(folder: Path, content=content) -> dict[str, object]:
            (folder / "check.json").write_text(json.dumps(content))
            return {}

        run_stage(opened, "check", {}, {"number": number}, work, QUIET)
        found.append(exhibits(opened, opened.list(), None).check)
    assert found[0].domains == () and found[0].problems == ()
    assert found[1].domains[0].frames == 9 and found[1].domains[0].quarantined == 1
    assert dict(found[1].domains[0].light) == {"brightness": (0.4, 0.1)}
    assert found[2].problems == ("source: a.png: holds id 77 Map it.",) and found[2].remarks == ("target: alike",)
    assert found[2].gap == "Darker." and found[2].stage.split("-")[1] == "check"
