"""The product's table of contents: every reader, network, method, selector and format, by name.

Entries are import paths, so that listing them loads nothing; `load` turns one into the object.
"""

from functools import partial

from frugalseg.core.choose import choose
from frugalseg.workflow.benches import BENCHES
from frugalseg.workflow.entry import Entry
from frugalseg.workflow.propagators import MOTIONS, PROPAGATORS

READERS = {
    "folder": Entry(
        "images/ and labels/ of PNG, JPEG or TIFF, with classes.toml", "ours", "frugalseg.data.readers.folder:read"
    ),
    "video": Entry(
        "a video file, a folder of them, or folders of frames, each a sequence",
        "ours",
        "frugalseg.data.readers.video:read",
    ),
    "cityscapes": Entry(
        "Cityscapes: leftImg8bit/ and gtFine/ (labelIds or trainIds), and the video around each frame",
        "Cordts et al., CVPR 2016",
        "frugalseg.data.readers.cityscapes:read",
    ),
    "gta5": Entry(
        "GTA5: images/ and labels/ as palette PNG",
        "Richter et al., ECCV 2016",
        "frugalseg.data.readers.gta5:read",
    ),
    "synthia": Entry(
        "SYNTHIA-RAND-CITYSCAPES: RGB/ and GT/LABELS/, 16 or 13 classes",
        "Ros et al., CVPR 2016",
        "frugalseg.data.readers.synthia:read",
    ),
    "camvid": Entry(
        "CamVid as published (colours of 32 classes) or as in the SegNet tutorial",
        "Brostow et al., ECCV 2008",
        "frugalseg.data.readers.camvid:read",
    ),
    "carla": Entry(
        "recordings of CARLA's RGB and semantic cameras",
        "Dosovitskiy et al., CoRL 2017",
        "frugalseg.data.readers.carla:read",
    ),
    "nthu": Entry(
        "NTHU cross-city set: Rio, Rome, Taipei, Tokyo, with the ten-fold protocol",
        "Chen et al., ICCV 2017",
        "frugalseg.data.readers.nthu:read",
    ),
    "bdd100k": Entry(
        "BDD100K's semantic segmentation, the layout of today or the older one",
        "Yu et al., CVPR 2020",
        "frugalseg.data.readers.bdd100k:read",
    ),
    "kitti": Entry(
        "KITTI's semantic segmentation, and up to 10 frames before and after each labelled one",
        "Abu Alhaija et al., IJCV 2018; Menze and Geiger, CVPR 2015",
        "frugalseg.data.readers.kitti:read",
    ),
    "nyu_v2": Entry(
        "NYU Depth V2: labelled indoor frames, 40 classes, and the video around them at 2 frames a second",
        "Silberman et al., ECCV 2012",
        "frugalseg.data.readers.nyu_v2:read",
    ),
    "apolloscape": Entry(
        "ApolloScape's scene parsing, every frame labelled; in parts of 21 whose centre keeps its label",
        "Wang et al., TPAMI 2019",
        "frugalseg.data.readers.apolloscape:read",
    ),
}

NETWORKS = {
    "shuffle_lite": Entry(
        "ShuffleNetV2 0.5x with a light decoder, for CPUs and edge devices",
        "Ma et al., ECCV 2018; decoder ours",
        "frugalseg.models.build:build",
    ),
    "deeplabv2:RESNET": Entry(
        "DeepLab-v2 with two outputs (conv4, conv5) over a dilated ResNet of timm, e.g. deeplabv2:resnet101",
        "Chen et al., TPAMI 2018; two outputs: Tsai et al., CVPR 2018",
        "frugalseg.models.build:build",
    ),
    "fcn8s:VGG": Entry(
        "FCN-8s over a VGG, e.g. fcn8s:vgg16; fcn8s:vgg16_fc512 has narrow fc6 and fc7",
        "Long et al., CVPR 2015",
        "frugalseg.models.build:build",
    ),
    "resnet38": Entry(
        "wide ResNet-38, dilated; resnet38:8 starts with 8 channels instead of 64",
        "Wu et al., Wider or Deeper, 2016, model A2",
        "frugalseg.models.build:build",
    ),
    "vit:NAME": Entry(
        "a vision transformer of timm (DINOv2, DINOv3, ...) with a light decoder, e.g. vit:vit_small_patch14_dinov2",
        "Oquab et al., 2024; Siméoni et al., 2025; decoder ours",
        "frugalseg.models.build:build",
    ),
    "hms:NETWORK": Entry(
        "hierarchical multi-scale attention over any network, e.g. hms:shuffle_lite or hms:deeplabv3plus:resnet50",
        "Tao et al., 2020",
        "frugalseg.models.build:build",
    ),
    "ARCHITECTURE:ENCODER": Entry(
        "any segmentation-models-pytorch architecture over any timm encoder, e.g. deeplabv3plus:resnet101",
        "segmentation-models-pytorch, timm",
        "frugalseg.models.build:build",
    ),
}


def _configured(package: str, summary: str, source: str, name: str, config: str = "") -> Entry:
    """Return the entry of `module:Class` in a package; its settings are `module:ClassConfig` if not said otherwise."""
    parent = f"frugalseg.{package}."
    return Entry(summary, source, parent + name, parent + (config or f"{name}Config"))


_method, _selector = partial(_configured, "adaptation"), partial(_configured, "acquisition")

METHODS = {
    "source_only": _method(
        "learns the labelled source and nothing else; the start of every other method",
        "baseline",
        "source_only:SourceOnly",
    ),
    "cbst": _method(
        "class-balanced self-training in rounds",
        "Zou et al., ECCV 2018",
        "self_training:SelfTraining",
        "self_training:CbstConfig",
    ),
    "st": _method(
        "self-training in rounds with one confidence threshold for all classes",
        "Zou et al., ECCV 2018, equation 5",
        "self_training:SelfTraining",
        "self_training:StConfig",
    ),
    "cbst_sp": _method(
        "cbst that also weighs where in the frame the source shows each class",
        "Zou et al., ECCV 2018, equation 9",
        "self_training:SelfTraining",
        "self_training:CbstSpConfig",
    ),
    "st_sp": _method(
        "st that also weighs where in the frame the source shows each class",
        "Zou et al., ECCV 2018, appendix B",
        "self_training:SelfTraining",
        "self_training:StSpConfig",
    ),
    "adaptsegnet": _method(
        "a discriminator makes the softmax maps of source and target alike",
        "Tsai et al., CVPR 2018",
        "adaptsegnet:AdaptSegNet",
    ),
    "minent": _method(
        "entropy on the target minimised directly, with an optional class-ratio prior",
        "Vu et al., CVPR 2019, section 3.1",
        "minent:MinEnt",
    ),
    "advent": _method(
        "a discriminator makes the entropy maps of source and target alike",
        "Vu et al., CVPR 2019, section 3.2",
        "advent:Advent",
    ),
    "intrada": _method(
        "advent, then again from the target's easy frames to its hard ones", "Pan et al., CVPR 2020", "intrada:IntraDa"
    ),
    "mean_teacher": _method(
        "a mean teacher's labels on mixed and masked target images; rare classes drawn more often",
        "DACS (Tranheden et al., WACV 2021), DAFormer and MIC (Hoyer et al., CVPR 2022, 2023)",
        "mean_teacher:MeanTeacher",
    ),
    "point_da": _method(
        "source labels, people's points, pseudo-labels outside the selected cells",
        "Pan et al., Labeling Where Adapting Fails",
        "point_da:PointDa",
    ),
    "mada": _method(
        "source labels and whole target frames that people labelled, anchors and pseudo-labels for the others",
        "Ning et al., ICCV 2021, section 3.3",
        "mada:Mada",
    ),
}

# Methods that learn from people's answers are for `retrain`; the others for `adapt`.
WITH_ANSWERS = ("point_da", "mada")


SELECTORS = {
    "entropy_patches": _selector(
        "points in the cells with the highest mean entropy",
        "Pan et al., Labeling Where Adapting Fails, equation 5",
        "entropy_patches:EntropyPatches",
    ),
    "random_patches": _selector(
        "points in randomly chosen cells", "the same paper's control", "random_patches:RandomPatches"
    ),
    "random_points": _selector("pixels drawn uniformly over the frame", "baseline", "random_points:RandomPoints"),
    "global_points": _selector(
        "the pixels of highest entropy in the whole pool", "baseline", "global_points:GlobalPoints"
    ),
    "ripu": _selector(
        "pixels whose surroundings are impure and uncertain, apart from each other",
        "Xie et al., CVPR 2022",
        "ripu:Ripu",
    ),
    "margin": _selector(
        "the pixels where the two most probable classes are closest", "Scheffer et al., 2001", "margin:Margin"
    ),
    "class_balanced": _selector(
        "as many points of each predicted class, away from predicted boundaries", "ours", "class_balanced:ClassBalanced"
    ),
    "diverse": _selector(
        "random pixels apart from each other, in frames of a drive that do not look alike", "ours", "diverse:Diverse"
    ),
    "expected_gain": _selector(
        "drawn by doubt x answerability per second of human time, balanced over predicted classes",
        "ours",
        "expected_gain:ExpectedGain",
    ),
    "random_images": _selector("whole frames drawn uniformly", "baseline", "random_images:RandomImages"),
    "entropy_images": _selector(
        "whole frames of the highest mean entropy",
        "Vu et al., CVPR 2019; Ning et al., ICCV 2021, equation 12",
        "entropy_images:EntropyImages",
    ),
    "adversarial": _selector(
        "whole frames that the discriminator tells best from the source",
        "Ning et al., ICCV 2021, equation 13",
        "adversarial:Adversarial",
    ),
    "aada": _selector(
        "whole frames unlike the source and of high entropy",
        "Su et al., WACV 2020; Ning et al., ICCV 2021, equation 14",
        "aada:Aada",
    ),
    "multi_anchor": _selector(
        "whole frames furthest from the anchors of the source's features",
        "MADA, Ning et al., ICCV 2021",
        "multi_anchor:MultiAnchor",
    ),
    "diverse_images": _selector(
        "whole frames that stand for most of what no anchor of the source is near, no neighbours of one drive",
        "ours, on MADA",
        "multi_anchor:MultiAnchor",
        config="multi_anchor:DiverseImagesConfig",
    ),
}

# Selectors that look at no map of a network: their questions depend on sizes, askable pixels and the seed.
BLIND_SELECTORS = ("random_patches", "random_points")

# Selectors that ask for whole frames; the others ask for single pixels.
IMAGE_SELECTORS = ("random_images", "entropy_images", "adversarial", "aada", "multi_anchor", "diverse_images")

FORMATS = {
    "folder": Entry(
        "chosen frames as image files, label files of the same names back",
        "ours",
        "frugalseg.annotation.exchange.folder:FolderFormat",
    ),
}

TABLES = {"reader": READERS, "network": NETWORKS, "method": METHODS, "selector": SELECTORS}
TABLES |= {"propagator": PROPAGATORS, "motion": MOTIONS, "format": FORMATS, "comparison": BENCHES}


def entry(kind: str, name: str) -> Entry:
    """Return the entry `name` of the table `kind`.

    Raises:
        UnknownNameError: with the nearest name.
    """
    return choose(kind, name, TABLES[kind])
