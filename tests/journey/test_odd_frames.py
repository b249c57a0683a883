"""Frames of odd but good files go through the loop: turned by EXIF (case 12), with the longest names (case 20)."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from frugalseg.cli.main import run
from frugalseg.core.classes import IGNORE, ClassSet, SemanticClass
from frugalseg.core.records import Query
from frugalseg.core.table import read_records

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 48, 32
COLORS = ((20, 40, 220), (230, 230, 230), (40, 120, 40), (220, 30, 30))
NAMES = ("sky", "wall", "grass", "sign")
CLASSES = ClassSet(
    "odd", tuple(SemanticClass(name, color, (i,)) for i, (name, color) in enumerate(zip(NAMES, COLORS, strict=True)))
)
LONGEST = "n" * 251  # with its suffix 255 bytes, the most that Linux, macOS and Windows allow
# How a camera held in each way stores what it shows: the opposite of what ImageOps.exif_transpose does.
TURN = Image.Transpose
STORED = {
    1: None,
    2: TURN.FLIP_LEFT_RIGHT,
    3: TURN.ROTATE_180,
    4: TURN.FLIP_TOP_BOTTOM,
    5: TURN.TRANSPOSE,
    6: TURN.ROTATE_90,
    7: TURN.TRANSVERSE,
    8: TURN.ROTATE_270,
}
TINY = ("steps=1", "height=48", "width=32", "batch_size=1")


def draw(number: int) -> np.ndarray:
    """Return a label without any symmetry, another one for each number."""
    label = np.full((HEIGHT, WIDTH), 1, np.uint8)
    label[: 8 + number] = 0
    label[32:] = 2
    label[18:28, 3 : 9 + number] = 3
    return label


def write_frame(folder: Path, name: str, orientation: int, number: int) -> None:
    """Write what is seen as `draw(number)`: the photograph stored as it was turned, its label as it is seen."""
    label, exif = draw(number), Image.Exif()
    exif[0x0112] = orientation
    shown = Image.fromarray(np.array(COLORS, np.uint8)[label])
    turn = STORED[orientation]
    stored = shown if turn is None else shown.transpose(turn)
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    stored.save(folder / "images" / f"{name}.jpg", quality=100, subsampling=0, exif=exif)
    Image.fromarray(label).save(folder / "labels" / f"{name}.png")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose questions have been answered from the labels."""
    root = tmp_path_factory.mktemp("odd")
    for orientation in STORED:
        write_frame(root / "photos", f"turned_{orientation}", orientation, orientation)
    write_frame(root / "photos", LONGEST, 6, 9)
    (root / "photos" / "classes.toml").write_text(CLASSES.to_toml())
    folder, photos = str(root / "project"), f"folder:{root / 'photos'}"
    settings = [part for setting in TINY for part in ("--set", setting)]
    for line in (
        ["init", folder, "--source", photos, "--target", photos, "--validation", photos],
        ["adapt", folder, "--method", "source_only", *settings],
        ["select", folder, "--strategy", "random_points", "--budget", "40points/image"],
        ["label", folder, "--simulate"],
    ):
        assert run([*line, "--quiet"]) == 0
    return root / "project"


def stage(project: Path, name: str) -> Path:
    return next(project.glob(f"runs/*-{name}-*"))


def shown(photos: Path, key: str) -> np.ndarray:
    """Return the photograph as any viewer shows it."""
    with Image.open(photos / "images" / f"{key}.jpg") as image:
        return np.array(ImageOps.exif_transpose(image))


KEYS = [*(f"turned_{orientation}" for orientation in STORED), LONGEST]


@pytest.mark.parametrize("key", KEYS, ids=[*(f"EXIF {orientation}" for orientation in STORED), "255 bytes"])
def test_points_that_are_asked_and_answered_lie_on_the_pixels_that_are_seen(project: Path, key: str) -> None:
    image, label = shown(project.parent / "photos", key), draw(KEYS.index(key) + 1)
    assert image.shape == (HEIGHT, WIDTH, 3)
    answers = np.array(Image.open(stage(project, "label") / "partial" / "labels" / f"{key}.png"))
    questions = read_records(stage(project, "select") / "questions.parquet", Query)
    asked = {(query.point.row, query.point.column) for query in questions if query.key == key and query.point}
    answered = answers != IGNORE
    assert answers.shape == (HEIGHT, WIDTH) and len(asked) == 40
    assert set(zip(*np.nonzero(answered), strict=True)) <= asked
    assert answered.sum() > 20, "only points near edges are ambiguous"
    assert np.array_equal(answers[answered], label[answered])
    colors = np.array(COLORS)[answers[answered]]
    assert np.abs(image[answered] - colors).max() < 60, "the photograph has the class's colour there"


def test_the_check_finds_nothing_to_mend(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(project), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] and found["frames"] == dict.fromkeys(("source", "target", "validation"), len(KEYS))


def test_predictions_have_the_size_that_is_seen(project: Path, tmp_path: Path) -> None:
    photos, model = project.parent / "photos", stage(project, "adapt-source_only")
    turned = [str(photos / "images" / f"turned_{orientation}.jpg") for orientation in (3, 6)]
    assert run(["predict", str(model), *turned, "--out", str(tmp_path), "--quiet"]) == 0
    for path in turned:
        with Image.open(tmp_path / Path(path).with_suffix(".png").name) as label:
            assert label.size == (WIDTH, HEIGHT)


def test_the_longest_name_has_a_prediction_but_no_room_for_an_overlay(project: Path, tmp_path: Path, capsys) -> None:
    photo = str(project.parent / "photos" / "images" / f"{LONGEST}.jpg")
    arguments = ["predict", str(stage(project, "adapt-source_only")), photo, "--out", str(tmp_path), "--quiet"]
    assert run(arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"{LONGEST}.png"]
    capsys.readouterr()
    assert run([*arguments, "--overlay"]) == 2
    assert "the name is too long for the files that would be written" in capsys.readouterr().out


def test_longer_names_there_are_not(tmp_path: Path) -> None:
    """Case 20 speaks of 300 bytes: no file system in use has such names, so that only 255 can be tried (above)."""
    with pytest.raises(OSError, match="name too long"):
        (tmp_path / ("n" * 296 + ".png")).write_bytes(b"")
