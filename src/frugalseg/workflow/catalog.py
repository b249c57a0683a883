"""The product's table of contents: every reader, network, method and selector, by name.

Entries are import paths, so that listing them loads nothing; `load` turns one into the object.
"""

from frugalseg.core.choose import choose
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

METHODS = {
    "source_only": Entry(
        "learns the labelled source and nothing else; the start of every other method",
        "baseline",
        "frugalseg.adaptation.source_only:SourceOnly",
        "frugalseg.adaptation.source_only:SourceOnlyConfig",
    ),
    "cbst": Entry(
        "class-balanced self-training in rounds",
        "Zou et al., ECCV 2018",
        "frugalseg.adaptation.self_training:SelfTraining",
        "frugalseg.adaptation.self_training:CbstConfig",
    ),
    "st": Entry(
        "self-training in rounds with one confidence threshold for all classes",
        "Zou et al., ECCV 2018, equation 5",
        "frugalseg.adaptation.self_training:SelfTraining",
        "frugalseg.adaptation.self_training:StConfig",
    ),
    "cbst_sp": Entry(
        "cbst that also weighs where in the frame the source shows each class",
        "Zou et al., ECCV 2018, equation 9",
        "frugalseg.adaptation.self_training:SelfTraining",
        "frugalseg.adaptation.self_training:CbstSpConfig",
    ),
    "st_sp": Entry(
        "st that also weighs where in the frame the source shows each class",
        "Zou et al., ECCV 2018, appendix B",
        "frugalseg.adaptation.self_training:SelfTraining",
        "frugalseg.adaptation.self_training:StSpConfig",
    ),
    "adaptsegnet": Entry(
        "a discriminator makes the softmax maps of source and target alike",
        "Tsai et al., CVPR 2018",
        "frugalseg.adaptation.adaptsegnet:AdaptSegNet",
        "frugalseg.adaptation.adaptsegnet:AdaptSegNetConfig",
    ),
    "minent": Entry(
        "entropy on the target minimised directly, with an optional class-ratio prior",
        "Vu et al., CVPR 2019, section 3.1",
        "frugalseg.adaptation.minent:MinEnt",
        "frugalseg.adaptation.minent:MinEntConfig",
    ),
    "advent": Entry(
        "a discriminator makes the entropy maps of source and target alike",
        "Vu et al., CVPR 2019, section 3.2",
        "frugalseg.adaptation.advent:Advent",
        "frugalseg.adaptation.advent:AdventConfig",
    ),
    "intrada": Entry(
        "advent, then again from the target's easy frames to its hard ones",
        "Pan et al., CVPR 2020",
        "frugalseg.adaptation.intrada:IntraDa",
        "frugalseg.adaptation.intrada:IntraDaConfig",
    ),
    "mean_teacher": Entry(
        "a mean teacher's labels on mixed and masked target images; rare classes drawn more often",
        "DACS (Tranheden et al., WACV 2021), DAFormer and MIC (Hoyer et al., CVPR 2022, 2023)",
        "frugalseg.adaptation.mean_teacher:MeanTeacher",
        "frugalseg.adaptation.mean_teacher:MeanTeacherConfig",
    ),
    "point_da": Entry(
        "source labels, people's points, pseudo-labels outside the selected cells",
        "Pan et al., Labeling Where Adapting Fails",
        "frugalseg.adaptation.point_da:PointDa",
        "frugalseg.adaptation.point_da:PointDaConfig",
    ),
}

# Methods that learn from people's answers are for `retrain`; the others for `adapt`.
WITH_ANSWERS = ("point_da",)

SELECTORS = {
    "entropy_patches": Entry(
        "points in the cells with the highest mean entropy",
        "Pan et al., Labeling Where Adapting Fails, equation 5",
        "frugalseg.acquisition.entropy_patches:EntropyPatches",
        "frugalseg.acquisition.entropy_patches:EntropyPatchesConfig",
    ),
    "random_patches": Entry(
        "points in randomly chosen cells",
        "the same paper's control",
        "frugalseg.acquisition.random_patches:RandomPatches",
        "frugalseg.acquisition.random_patches:RandomPatchesConfig",
    ),
    "random_points": Entry(
        "pixels drawn uniformly over the frame",
        "baseline",
        "frugalseg.acquisition.random_points:RandomPoints",
        "frugalseg.acquisition.random_points:RandomPointsConfig",
    ),
    "global_points": Entry(
        "the pixels of highest entropy in the whole pool",
        "baseline",
        "frugalseg.acquisition.global_points:GlobalPoints",
        "frugalseg.acquisition.global_points:GlobalPointsConfig",
    ),
    "ripu": Entry(
        "pixels whose surroundings are impure and uncertain, apart from each other",
        "Xie et al., CVPR 2022",
        "frugalseg.acquisition.ripu:Ripu",
        "frugalseg.acquisition.ripu:RipuConfig",
    ),
    "margin": Entry(
        "the pixels where the two most probable classes are closest",
        "Scheffer et al., 2001",
        "frugalseg.acquisition.margin:Margin",
        "frugalseg.acquisition.margin:MarginConfig",
    ),
    "class_balanced": Entry(
        "as many points of each predicted class, away from predicted boundaries",
        "ours",
        "frugalseg.acquisition.class_balanced:ClassBalanced",
        "frugalseg.acquisition.class_balanced:ClassBalancedConfig",
    ),
    "diverse": Entry(
        "random pixels apart from each other, in frames of a drive that do not look alike",
        "ours",
        "frugalseg.acquisition.diverse:Diverse",
        "frugalseg.acquisition.diverse:DiverseConfig",
    ),
    "expected_gain": Entry(
        "drawn by doubt x answerability per second of human time, balanced over predicted classes",
        "ours",
        "frugalseg.acquisition.expected_gain:ExpectedGain",
        "frugalseg.acquisition.expected_gain:ExpectedGainConfig",
    ),
}

BENCHES = {
    "point_da": Entry(
        "point supervision: self-training, random and active cells, full labeling, and the ablation over K",
        "Pan et al., Labeling Where Adapting Fails, tables 1 to 3",
        "frugalseg.workflow.bench_point_da:point_da",
    ),
    "uda": Entry(
        "every method without answers: same source network, steps and augmentation, several seeds",
        "ours",
        "frugalseg.workflow.bench_uda:uda",
    ),
    "self_training_grid": Entry(
        "self-training's first share of pseudo-labels and its growth, scored after every round",
        "Zou et al., ECCV 2018, figure 5",
        "frugalseg.workflow.bench_grid:self_training_grid",
    ),
}

TABLES = {
    "reader": READERS,
    "network": NETWORKS,
    "method": METHODS,
    "selector": SELECTORS,
    "propagator": PROPAGATORS,
    "motion": MOTIONS,
    "comparison": BENCHES,
}


def entry(kind: str, name: str) -> Entry:
    """Return the entry `name` of the table `kind`.

    Raises:
        UnknownNameError: with the nearest name.
    """
    return choose(kind, name, TABLES[kind])
