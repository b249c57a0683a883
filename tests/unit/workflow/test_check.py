"""`frugalseg check` as a user meets it: exit codes, messages, JSON, quarantine, and what training does with it."""

import csv
import json
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.cli.main import run
from frugalseg.core.errors import DataProblems, LabelShapeError, UnknownIdError
from frugalseg.workflow.check import check_stage
from frugalseg.workflow.project import Project
from frugalseg.workflow.scan import look_at
from frugalseg.workflow.stage import Options


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slips) -> Path:
    slips.write_world(tmp_path, count=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start(world: Path, capsys):
    """Start the project `city` on the world as it is."""

    def call() -> Path:
        sets = ("--source", "folder:sim", "--target", "folder:street", "--validation", "folder:checked")
        assert run(["init", "city", *sets]) == 0
        capsys.readouterr()
        return world / "city"

    return call


@pytest.fixture
def said(capsys):
    """Run `check city` and return exit code, the object printed, and what was said on stderr."""

    def call(*arguments: str) -> tuple[int, dict, str]:
        code = run(["check", "city", "--json", *arguments])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else {}, err

    return call


def first(folder: Path) -> Path:
    return sorted(folder.iterdir())[0]


def test_data_in_order(start, said) -> None:
    start()
    code, found, _ = said()
    assert (code, found["ok"], found["problems"], found["quarantined"]) == (0, True, [], {})
    assert found["frames"] == {"source": 3, "target": 3, "validation": 3}
    assert [remark for remark in found["remarks"] if remark["warning"]] == []
    details = json.loads(Path(found["details"]).read_text(encoding="utf-8"))
    assert set(details) == {"schema", "ok", "domains", "problems", "remarks", "gap", "look_alike"}
    source = details["domains"]["source"]
    assert (source["labelled"], source["sizes"]) == (3, {"48x64": 3})
    assert source["classes"]["sign"] == {"pixels": 90, "frames": 3}
    assert 0 < source["light"]["brightness"] < 1
    assert details["look_alike"] == []
    page = Path(found["page"]).read_text(encoding="utf-8")
    assert page.count("<img") == 9
    assert "http:" not in page and "https:" not in page and "<script" not in page


def test_again_is_a_no_op_until_a_file_changes(start, said, slips, world: Path) -> None:
    start()
    assert said()[1]["done_before"] is False
    assert said()[1]["done_before"] is True
    slips.relabel(world / "sim", lambda label: label[::2].copy(), only=1)
    code, found, _ = said()
    assert (code, found["done_before"]) == (2, False), "a label that was edited is looked at again"
    assert said()[0] == 2, "done before is still wrong"


def test_all_problems_are_told_at_once(start, said, slips, world: Path, capsys) -> None:
    slips.relabel(world / "sim", lambda label: label[::2].copy(), only=1)
    slips.relabel(world / "checked", lambda label: np.where(label == 1, 9, label).astype(np.uint8))
    start()
    first(world / "street" / "images").write_bytes(b"gone bad")
    code, found, err = said()
    assert code == 2
    assert {(group["domain"], group["kind"], group["count"]) for group in found["problems"]} == {
        ("source", "size", 1),
        ("target", "image", 1),
        ("validation", "ids", 3),
    }
    assert all(group["mend"] and Path(group["files"][0]["path"]).is_file() for group in found["problems"])
    assert "Traceback" not in err
    assert run(["check", "city"]) == 2
    text = capsys.readouterr().out
    assert "city: 5 problems" in text
    for path in ("sim/labels/sim_lyon_000.png", "street/images/street_basel_000.png", "checked/labels/street_bern_000"):
        assert path in text
    assert "When mended: frugalseg init city && frugalseg check city" in text


def test_many_files_with_one_problem_are_counted_not_listed(start, world: Path, slips, capsys) -> None:
    slips.write_set(world / "sim", "sim_lyon", 6)
    slips.off_by_one(world)
    start()
    assert run(["check", "city"]) == 2
    text = capsys.readouterr().out
    assert text.count("ids that 'tiny' does not list") == 3
    assert "… and 3 more" in text
    assert text.count("Likely cause") == 1


def test_dry_run_writes_nothing(start, said) -> None:
    project = start()
    code, found, _ = said("--dry-run", "--quarantine")
    assert (code, found["dry_run"], found["frames"]["source"]) == (0, True, 3)
    assert not (project / "runs").exists()
    assert not list(project.rglob("quarantine.csv"))


def test_quarantine_leaves_frames_out_by_name_and_says_so(start, said, slips, world: Path, capsys) -> None:
    slips.relabel(world / "sim", lambda label: label[::2].copy(), only=1)
    project = start()
    with pytest.raises(DataProblems):
        check_stage(Project.open(project), "source", Options(quiet=True))
    code, found, _ = said("--quarantine")
    assert (code, found["ok"], found["quarantined"]) == (0, True, {"source": 1})
    with open(project / "manifests" / "source" / "quarantine.csv", newline="") as file:
        header, (key, reason) = csv.reader(file)
    assert (header, key) == (["key", "reason"], "sim_lyon_000")
    assert "label is 24x64" in reason
    assert [frame.key for frame in Project.open(project).manifest("source")] == ["sim_lyon_001", "sim_lyon_002"]
    assert check_stage(Project.open(project), "source", Options(quiet=True)).sum() > 0
    assert capsys.readouterr().err.count("source: 1 frame quarantined, left out here") == 1
    assert run(["status", "city", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert (state["quarantined"], state["data"]["source"]) == ({"source": 1}, 2)
    assert run(["status", "city"]) == 0
    assert "quarantined" in capsys.readouterr().out


def test_a_mended_frame_is_let_in_again(start, said, slips, world: Path) -> None:
    slips.relabel(world / "sim", lambda label: label[::2].copy(), only=1)
    project = start()
    said("--quarantine")
    slips.write_set(world / "sim", "sim_lyon", 1)
    code, found, _ = said()
    assert code == 0
    assert any("nothing is wrong any more with sim_lyon_000" in remark["text"] for remark in found["remarks"])
    assert said("--quarantine")[1]["quarantined"] == {}
    assert not (project / "manifests" / "source" / "quarantine.csv").exists()


def test_a_set_is_never_quarantined_whole(start, said, slips, world: Path) -> None:
    slips.off_by_one(world)
    project = start()
    code, found, err = said("--quarantine")
    assert (code, found) == (2, {})
    assert "all 3 frames have problems" in err
    assert not list(project.rglob("quarantine.csv"))


def test_a_file_that_changed_since_init_is_a_problem(start, said, world: Path, slips) -> None:
    start()
    image, _ = slips.draw("another", 0)
    Image.fromarray(image).save(first(world / "street" / "images"))
    code, found, _ = said()
    (group,) = found["problems"]
    assert (code, group["domain"], group["kind"]) == (2, "target", "changed")
    assert "frugalseg init" in group["mend"]
    assert said("--quarantine")[0] == 0


def test_refused_files_are_problems_until_somebody_has_taken_note(start, said, world: Path) -> None:
    (world / "sim" / "images" / "broken.png").write_bytes(b"no image")
    start()
    code, found, _ = said()
    (group,) = found["problems"]
    assert (code, group["kind"], Path(group["files"][0]["path"]).name) == (2, "refused", "broken.png")
    code, found, _ = said("--quarantine")
    assert (code, found["quarantined"]) == (0, {})


def test_frames_that_were_seen_in_training_are_warned_of(start, said, slips, world: Path) -> None:
    shutil.rmtree(world / "checked")
    slips.write_set(world / "checked", "street_basel", 3)
    start()
    code, found, _ = said()
    warnings = [remark["text"] for remark in found["remarks"] if remark["warning"]]
    assert code == 0
    assert any("3 of 3 frames look like frames of target" in text for text in warnings)
    assert any("1 drive also in target: street_basel" in text for text in warnings)
    details = json.loads(Path(found["details"]).read_text(encoding="utf-8"))
    assert [{"domain": "validation", "key": "street_basel_000"}, {"domain": "target", "key": "street_basel_000"}] in (
        details["look_alike"]
    )
    assert 'id="alike"' in Path(found["page"]).read_text(encoding="utf-8")


def test_classes_that_do_not_meet_are_remarked(start, said, world: Path) -> None:
    classes = world / "checked" / "classes.toml"
    classes.write_text(classes.read_text().replace('"sign"', '"tram"'))
    start()
    texts = {remark["domain"]: remark["text"] for remark in said()[1]["remarks"]}
    everything = " ".join(remark["text"] for remark in said()[1]["remarks"] if remark["domain"] == "validation")
    assert "classes that the project does not have become `no class`: tram" in everything
    assert "(they are not scored): sign" in everything
    assert "source" not in texts


def test_labels_of_the_target_are_looked_at_where_there_are_any(start, said, slips, world: Path) -> None:
    slips.write_set(world / "street", "street_basel", 2)
    slips.relabel(world / "street", lambda label: np.where(label == 1, 9, label).astype(np.uint8), only=1)
    start()
    code, found, _ = said()
    assert code == 2
    assert [(group["domain"], group["kind"], group["count"]) for group in found["problems"]] == [("target", "ids", 1)]
    assert any("2 of 3 frames have a label" in remark["text"] for remark in found["remarks"])


def test_the_gap_is_said_in_words(start, said, world: Path) -> None:
    for path in (world / "street" / "images").iterdir():
        Image.fromarray(np.array(Image.open(path)) // 3).save(path)
    start()
    gap = said()[1]["gap"]
    assert "far darker" in gap and "flatter" in gap and "brighter" not in gap


def test_the_ego_mask_is_fitted(start, said, world: Path, slips) -> None:
    slips.write_set(world / "sim", "sim_lyon", 10)
    mask = np.full(slips.SIZE_HW, 255, np.uint8)
    mask[36:] = 0
    Image.fromarray(mask).save(world / "sim" / "mask.png")
    start()
    texts = " ".join(remark["text"] for remark in said()[1]["remarks"])
    assert "the ego mask leaves 75 % of the pixels" in texts
    assert "is it these frames' mask?" in texts
    for path in (world / "sim" / "images").iterdir():  # now with a bonnet that stands still
        image = np.array(Image.open(path))
        image[35:] = 40
        Image.fromarray(image).save(path)
    start()
    code, found, _ = said()
    assert (code, "is it these frames' mask?" in str(found["remarks"])) == (0, False)


def test_training_refuses_with_the_same_words_and_classes_of_errors(start, slips, world: Path, said) -> None:
    slips.relabel(world / "sim", lambda label: np.where(label == 1, 9, label).astype(np.uint8))
    slips.relabel(world / "sim", lambda label: label[::2].copy(), only=1)
    project = start()
    with pytest.raises(DataProblems) as caught:
        check_stage(Project.open(project), "source", Options(quiet=True))
    kinds = [type(problem) for problem in caught.value.problems]
    assert (kinds.count(LabelShapeError), kinds.count(UnknownIdError)) == (1, 3)
    files = {entry["path"] for group in said()[1]["problems"] for entry in group["files"]}
    assert all(str(problem).partition(": ")[0] in files for problem in caught.value.problems)


def test_training_looks_again_when_a_label_was_edited(start, slips, world: Path) -> None:
    project = Project.open(start())
    before = check_stage(project, "source", Options(quiet=True))
    slips.relabel(world / "sim", lambda label: np.where(label == 1, 2, label).astype(np.uint8))
    after = check_stage(project, "source", Options(quiet=True))
    assert (before[1] > 0, after[1], after.sum()) == (True, 0, before.sum())


def test_check_does_not_load_torch() -> None:
    code = "import sys, frugalseg.workflow.check; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_trainings_that_begin_together_share_one_check_of_the_labels(start, monkeypatch) -> None:
    project, looks, begun = Project.open(start()), [], threading.Event()

    def look_slowly(*arguments, **options):
        looks.append(arguments[0])
        begun.set()
        time.sleep(0.5)
        return look_at(*arguments, **options)

    monkeypatch.setattr("frugalseg.workflow.check.look_at", look_slowly)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(check_stage, project, "source", Options(quiet=True))
        begun.wait()
        second = pool.submit(check_stage, project, "source", Options(quiet=True))
        assert first.result().tolist() == second.result().tolist()
    assert looks == ["source"]
