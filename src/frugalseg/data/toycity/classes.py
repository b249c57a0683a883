"""The toy city's classes: CamVid's eleven, in CamVid's order and colours."""

from types import MappingProxyType

from frugalseg.core.classes import ClassSet, SemanticClass

_ROWS: tuple[tuple[str, tuple[int, int, int], tuple[str, ...]], ...] = (
    ("sky", (128, 128, 128), ()),
    ("building", (128, 0, 0), ()),
    ("pole", (192, 192, 128), ()),
    ("road", (128, 64, 128), ()),
    ("pavement", (60, 40, 222), ("sidewalk",)),
    ("tree", (128, 128, 0), ("vegetation",)),
    ("sign", (192, 128, 128), ("traffic sign", "traffic light")),
    ("fence", (64, 64, 128), ()),
    ("car", (64, 0, 128), ()),
    ("person", (64, 64, 0), ("pedestrian",)),
    ("bicyclist", (0, 128, 192), ("rider",)),
)
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PERSON, BICYCLIST = range(len(_ROWS))

CLASSES = ClassSet(
    name="toycity",
    classes=tuple(SemanticClass(name, color, (raw,), aliases) for raw, (name, color, aliases) in enumerate(_ROWS)),
    subsets=MappingProxyType({"frequent": ("sky", "building", "road", "pavement", "tree", "car")}),
)
