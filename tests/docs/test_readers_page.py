"""What the page on readers shows runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.readers import nyu_v2

PAGE = (Path(__file__).parents[2] / "docs" / "readers.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def script(word):
    (found,) = [text for text in SCRIPTS if word in text]
    return found


def test_every_class_set_stands_in_the_table():
    table = PAGE.partition("## Class sets")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(class_sets.names())


def test_neighbours_of_a_frame(videos, tmp_path, monkeypatch, capsys):
    videos.write(tmp_path / "drive.mp4")
    monkeypatch.chdir(tmp_path)
    exec(compile(script("Sequences"), "readers.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(2, 23))
    assert lines[-1] == "all ten before all ten after"


def test_nyu_script_writes_the_layout_that_the_reader_reads(miniatures, tmp_path):
    h5py = pytest.importorskip("h5py", reason="the script's own need, not the product's")
    savemat = pytest.importorskip("scipy.io", reason="the script's own need, not the product's").savemat
    downloads, out = tmp_path / "downloads", tmp_path / "nyu"
    downloads.mkdir()
    names = [f"bedroom_0001/{miniatures.nyu_name(seconds)}.ppm" for seconds in (1.0, 2.0)]
    pictures = np.random.default_rng(0).integers(0, 255, (2, 16, 24, 3), np.uint8)
    with h5py.File(downloads / "nyu_depth_v2_labeled.mat", "w") as file:  # MATLAB's order of axes is the reverse
        file["images"] = pictures.transpose(0, 3, 2, 1)
        file["labels"] = np.broadcast_to(miniatures.columns(0, 1, 894).T, (2, 24, 16))
        references = []
        for number, name in enumerate(names):
            file[f"#refs#/{number}"] = np.array([[ord(letter)] for letter in name], np.uint16)
            references.append(file[f"#refs#/{number}"].ref)
        file.create_dataset("rawRgbFilenames", (1, 2), h5py.ref_dtype)[0] = references
    savemat(downloads / "classMapping40.mat", {"mapClass": np.r_[3, np.full(892, 9), 40][None].astype(np.uint8)})
    savemat(downloads / "splits.mat", {"trainNdxs": np.array([[2]]), "testNdxs": np.array([[1]])})
    (downloads / "raw" / "bedroom_0001").mkdir(parents=True)
    for seconds in (0.5, 1.0, 1.5):
        path = downloads / "raw" / "bedroom_0001" / f"{miniatures.nyu_name(seconds)}.ppm"
        Image.fromarray(pictures[0]).save(path)
    (tmp_path / "script.py").write_text(script("h5py"))
    subprocess.run([sys.executable, tmp_path / "script.py", downloads, out], check=True)
    found = nyu_v2.read(Spec("nyu_v2", str(out), {"around": "1", "split": "test"}))
    assert [(frame.index, frame.time_s, frame.label is not None) for frame in found] == [
        (-1, 0.0, False),
        (0, 0.5, True),
        (1, 1.0, False),
    ]
    assert np.array_equal(np.array(Image.open(found.frames[1].image)), pictures[0])
    assert np.array(Image.open(found.frames[1].label))[0, ::8].tolist() == [0, 3, 40]
