"""Miniature copies of public data sets: their real folder layouts, names and id encodings, a few 16x24 images each.

Labels are equally wide columns, each of one class. Used by the tests of the readers through the fixture `miniatures`.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 16, 24
TWO_CLASSES = 'name = "two"\n[[class]]\nname = "road"\ncolor = [0, 0, 0]\n[[class]]\nname = "car"\ncolor = [9, 9, 9]\n'
CITYSCAPES_COLORS = ((128, 64, 128), (70, 70, 70), (70, 130, 180))


def image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(path)


def columns(*values: int) -> NDArray[np.uint16]:
    """Return equally wide columns of values, H x W."""
    return np.repeat(np.array(values, np.uint16), WIDTH // len(values))[None].repeat(HEIGHT, 0)


def grey(path: Path, ids_HW: NDArray[np.uint16]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids_HW.astype(np.uint8)).save(path)


def deep(path: Path, values_HW: NDArray[np.uint16]) -> None:
    """Write one channel of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values_HW.astype(np.uint16)).save(path)


def palette(path: Path, ids_HW: NDArray[np.uint16]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(ids_HW.astype(np.uint8), "P")
    picture.putpalette([channel for index in range(256) for channel in (index, 255 - index, index * 7 % 256)])
    picture.save(path)


def red(path: Path, ids_HW: NDArray[np.uint16], dtype: type = np.uint8, green: int = 0, alpha: bool = False) -> None:
    """Write ids in the red channel (of RGB or RGBA; 8 or 16 bits)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = np.zeros((*ids_HW.shape, 4 if alpha else 3), dtype)
    bgr[..., 2], bgr[..., 1] = ids_HW, green
    if alpha:
        bgr[..., 3] = np.iinfo(dtype).max
    path.write_bytes(cv2.imencode(".png", bgr)[1].tobytes())


def colors(path: Path, *stripes: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    row = np.repeat(np.array(stripes, np.uint8), WIDTH // len(stripes), axis=0)
    Image.fromarray(row[None].repeat(HEIGHT, 0)).save(path)


def folder(root: Path) -> None:
    for number in (1, 2):
        image(root / "images" / f"drive_{number:04}.png", number)
        grey(root / "labels" / f"drive_{number:04}.png", columns(0, 1))
    (root / "classes.toml").write_text(TWO_CLASSES)


def cityscapes(root: Path) -> None:
    """Three cities in train, one in val and test each, coarse labels of one; with files that no reader wants."""
    places = [("train", "aachen", 19), ("train", "aachen", 20), ("train", "bochum", 313), ("train", "ulm", 7)]
    places += [("val", "frankfurt", 294), ("test", "berlin", 0)]
    for split, city, number in places:
        name = f"{city}_000000_{number:06}"
        image(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", number)
        gt = root / "gtFine" / split / city
        # road, building, sky, licence plate's neighbour in the file: out of roi; test files hold nothing but void
        ids = columns(7, 11, 23, 3) if split != "test" else columns(0, 1, 2, 3)
        grey(gt / f"{name}_gtFine_labelIds.png", ids)
        grey(gt / f"{name}_gtFine_labelTrainIds.png", columns(0, 2, 10, 255))
        colors(gt / f"{name}_gtFine_color.png", *CITYSCAPES_COLORS)
        deep(gt / f"{name}_gtFine_instanceIds.png", columns(7, 26_001))
        (gt / f"{name}_gtFine_polygons.json").write_text("{}")
    image(root / "leftImg8bit" / "train_extra" / "augsburg" / "augsburg_000000_000000_leftImg8bit.png")
    grey(
        root / "gtCoarse" / "train_extra" / "augsburg" / "augsburg_000000_000000_gtCoarse_labelIds.png",
        columns(0, 7, 11, 24),
    )


def cityscapes_sequence(root: Path) -> None:
    """Beside `cityscapes`: frames 6-25 of aachen's snippet, without 22, and 0-29 of ulm's."""
    for city, numbers in (("aachen", [n for n in range(6, 26) if n != 22]), ("ulm", range(0, 30))):
        for number in numbers:
            at = root / "leftImg8bit_sequence" / "train" / city
            image(at / f"{city}_000000_{number:06}_leftImg8bit.png", number)


def kitti(root: Path) -> None:
    """Three scenes with labels and objects, one to be predicted."""
    for scene in range(3):
        name = f"{scene:06}_10.png"
        image(root / "training" / "image_2" / name, scene)
        grey(root / "training" / "semantic" / name, columns(7, 11, 26, 29))  # road, building, car, caravan
        deep(root / "training" / "instance" / name, columns(7 * 256, 11 * 256 + 1, 26 * 256 + 1, 29 * 256 + 1))
        colors(root / "training" / "semantic_rgb" / name, *CITYSCAPES_COLORS)
    image(root / "testing" / "image_2" / "000000_10.png", 9)


def kitti_multiview(root: Path) -> None:
    """The multi-view extension: frames 0-20 of scenes 0 and 1, without 10, which comes with the labels."""
    for scene in (0, 1):
        for number in range(21):
            if number != 10:
                image(root / "training" / "image_2" / f"{scene:06}_{number:02}.png", number)


NYU_SCENE, NYU_FIRST_S = "bedroom_0001", 1294886360.0


def nyu_name(seconds: float) -> str:
    return f"r-{NYU_FIRST_S + seconds:.6f}-{int(2_996_770_081 + seconds * 1000)}"


def nyu_v2(root: Path) -> None:
    """A scene of 12 seconds at 10 frames a second, two of its frames labelled; another with one."""
    for tenth in range(120):
        image(root / "frames" / NYU_SCENE / f"{nyu_name(tenth / 10)}.png", tenth)
    for seconds in (3.0, 9.0):
        grey(root / "labels" / NYU_SCENE / f"{nyu_name(seconds)}.png", columns(1, 2, 40, 0))
    image(root / "frames" / "office_0002" / f"{nyu_name(0)}.jpg")
    grey(root / "labels" / "office_0002" / f"{nyu_name(0)}.png", columns(1, 2, 40, 0))
    (root / "train.txt").write_text(f"{nyu_name(3.0)}\n")


def apolloscape(root: Path) -> None:
    """Two recordings of two cameras, of 7 and of 4 frames a second apart."""
    for record, count in (("Record001", 7), ("Record002", 4)):
        for number in range(count):
            for camera in (5, 6):
                name = f"170908_0615{number:02}408_Camera_{camera}"
                image(root / "ColorImage" / record / f"Camera {camera}" / f"{name}.jpg", number)
                at = root / "Label" / record / f"Camera {camera}"
                grey(at / f"{name}_bin.png", columns(49, 161, 113, 255))  # road, group of cars, vegetation, nothing
                deep(at / f"{name}_instanceIds.png", columns(49_000, 33_001))


def video(root: Path) -> None:
    """Two folders of frames as videos are cut into, all labelled."""
    for drive in ("walk", "ride"):
        for number in (0, 1, 2):
            image(root / drive / f"{number:06}.png", number)
            grey(root / "labels" / drive / f"{number:06}.png", columns(0, 1))
    (root / "classes.toml").write_text(TWO_CLASSES)


def video_files(root: Path) -> None:
    """Two video files of two frames, labelled."""
    import av

    for drive in ("a", "b"):
        root.mkdir(parents=True, exist_ok=True)
        with av.open(str(root / f"{drive}.mkv"), "w") as file:
            stream = file.add_stream("mjpeg", rate=25)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuvj444p"
            for number in (0, 1):
                pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                grey(root / "labels" / drive / f"{number:06}.png", columns(0, 1))
            file.mux(stream.encode(None))
    (root / "classes.toml").write_text(TWO_CLASSES)


def gta5(root: Path) -> None:
    for number in (1, 2, 15):
        image(root / "images" / f"{number:05}.png", number)
        palette(root / "labels" / f"{number:05}.png", columns(7, 34, 31, 0))  # road, licence plate, train, void
    (root / "train.txt").write_text("00001\n00015\n")


def synthia(root: Path) -> None:
    for number in (0, 1):
        image(root / "RGB" / f"{number:07}.png", number)
        red(root / "GT" / "LABELS" / f"{number:07}.png", columns(3, 21, 22, 0), np.uint16, green=700)
        colors(root / "GT" / "COLOR" / f"{number:07}.png", *CITYSCAPES_COLORS)


def camvid(root: Path) -> None:
    """As published: road, lane marking, truck or bus, void."""
    for name in ("0001TP_006690", "0006R0_f00930", "Seq05VD_f00030"):
        image(root / "701_StillsRaw_full" / f"{name}.png")
        colors(
            root / "LabeledApproved_full" / f"{name}_L.png", (128, 64, 128), (128, 0, 192), (192, 128, 192), (0, 0, 0)
        )
    (root / "val.txt").write_text("0001TP_006690.png\n")


def camvid_segnet(root: Path) -> None:
    named = ("train", "0001TP_006690"), ("train", "0006R0_f00930"), ("val", "0016E5_07961"), ("test", "Seq05VD_f00030")
    for split, name in named:
        image(root / split / f"{name}.png")
        grey(root / f"{split}annot" / f"{name}.png", columns(3, 8, 10, 11))
        (root / f"{split}.txt").write_text(
            f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png\n"
        )


def carla(root: Path) -> None:
    """Two recordings as in the mirrors of the Lyft-Udacity challenge (CARLA 0.8): road, road line, vehicle, none."""
    for recording in ("dataA", "dataB"):
        for name in ("02_00_000", "F6-1"):
            image(root / recording / recording / "CameraRGB" / f"{name}.png")
            red(root / recording / recording / "CameraSeg" / f"{name}.png", columns(7, 6, 10, 0), alpha=True)


def carla_new(root: Path) -> None:
    """One recording of 0.9.15: road, road line, car, guard rail."""
    for number in (12, 13):
        image(root / "rgb" / f"{number:06}.png")
        red(root / "semantic" / f"{number:06}.png", columns(1, 24, 14, 28), alpha=True)


def nthu(root: Path) -> None:
    """Two of the four cities: 20 labelled images each and two without labels."""
    for city in ("Rio", "Tokyo"):
        for number in (1, 3):
            image(root / city / "Images" / "Train" / f"pano_{number:05}_0_180.png")
        for number in range(20):
            name = f"pano_{number // 2:05}_{number % 2}_180"
            image(root / city / "Images" / "Test" / f"{name}.png", number)
            grey(root / city / "Labels" / "Test" / f"{name}_eval.png", columns(7, 11, 33, 0))


def bdd100k(root: Path) -> None:
    named = ("train", "0004a4c0-d4dff0ad"), ("train", "0a0a0b1a-7c39d841"), ("val", "7d2f7975-e0c1c5a7")
    for split, name in (*named, ("test", "ac6d4f42-00000000")):
        image(root / "images" / "10k" / split / f"{name}.jpg")
        if split != "test":
            grey(root / "labels" / "sem_seg" / "masks" / split / f"{name}.png", columns(0, 2, 10, 255))
            colors(root / "labels" / "sem_seg" / "colormaps" / split / f"{name}.png", *CITYSCAPES_COLORS)


def bdd100k_older(root: Path) -> None:
    for split, name in (("train", "0004a4c0-d4dff0ad"), ("train", "0a0a0b1a-7c39d841"), ("val", "7d2f7975-e0c1c5a7")):
        image(root / "seg" / "images" / split / f"{name}.jpg")
        grey(root / "seg" / "labels" / split / f"{name}_train_id.png", columns(0, 2, 10, 255))
        colors(root / "seg" / "color_labels" / split / f"{name}_train_color.png", *CITYSCAPES_COLORS)


# A reader's layouts, and the options that it cannot do without.
WRITERS = {
    "folder": ((folder, {}),),
    "cityscapes": ((cityscapes, {}),),
    "gta5": ((gta5, {}),),
    "synthia": ((synthia, {}),),
    "camvid": ((camvid, {}), (camvid_segnet, {})),
    "carla": ((carla, {"version": "0.8.4"}), (carla_new, {"version": "0.9.15"})),
    "nthu": ((nthu, {}),),
    "video": ((video, {}), (video_files, {})),
    "kitti": ((kitti, {}),),
    "nyu_v2": ((nyu_v2, {}),),
    "apolloscape": ((apolloscape, {}),),
    "bdd100k": ((bdd100k, {}), (bdd100k_older, {})),
}
