"""How labels spread through video, and what estimates motion, by name: tables of the catalog."""

from frugalseg.workflow.entry import Entry

PROPAGATORS = {
    "warp": Entry(
        "labels carried along the motion of the pictures, from one labelled frame or one on each side",
        "Zhu et al., CVPR 2019 (motion only); fusion ours",
        "frugalseg.propagation.spread:Spreader",
        "frugalseg.workflow.propagate_config:PropagateConfig",
    ),
    "warp_inpaint": Entry(
        "warp, and a network's guess wherever the warped picture does not fit",
        "Ganeshan et al., ICCV 2021, equations 3 to 7",
        "frugalseg.propagation.inpaint:Inpainted",
        "frugalseg.workflow.propagate_config:PropagateConfig",
    ),
    "warp_refine": Entry(
        "warp_inpaint, mended by a network that learns from labels that went away and came back",
        "Ganeshan et al., ICCV 2021, equation 8",
        "frugalseg.propagation.refine:Refiner",
        "frugalseg.workflow.propagate_config:PropagateConfig",
    ),
    "semantic": Entry(
        "a network's guess alone where it is sure: a baseline",
        "Tao et al., 2020",
        "frugalseg.propagation.semantic:Guess",
        "frugalseg.workflow.propagate_config:PropagateConfig",
    ),
    "oracle": Entry(
        "the labels that the data has of the frames reached: what propagation could gain at most",
        "Ganeshan et al., ICCV 2021, table 1",
        "frugalseg.data.labels:LabelReader",
        "frugalseg.workflow.propagate_config:PropagateConfig",
    ),
}

MOTIONS = {
    "dis": Entry(
        "dense inverse search, OpenCV's; needs no weights",
        "Kroeger et al., ECCV 2016",
        "frugalseg.propagation.dis:Dis",
        "frugalseg.propagation.dis:DisConfig",
    ),
    "raft": Entry(
        "recurrent all-pairs field transforms, torchvision's; weights from a file",
        "Teed & Deng, ECCV 2020",
        "frugalseg.propagation.raft:Raft",
        "frugalseg.propagation.networks:RaftConfig",
    ),
    "sdc": Entry(
        "a network that learns, on the video itself, to make each frame from its neighbour",
        "after Reda et al., ECCV 2018 (SDC-net); network and losses ours",
        "frugalseg.propagation.sdc:Sdc",
        "frugalseg.propagation.networks:SdcConfig",
    ),
}
