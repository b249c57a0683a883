"""Comparisons by name: a table of the catalog."""

from frugalseg.workflow.entry import Entry

BENCHES = {
    "mada": Entry(
        "whole frames: the ablation M(0) to M(4) and M(u), sweeps over anchors, budgets and selectors",
        "Ning et al., ICCV 2021, tables 3 to 5, figure 4",
        "frugalseg.workflow.bench_mada:mada",
    ),
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
    "propagation": Entry(
        "labels carried through labelled video: motion alone, a network alone, warp_inpaint and warp_refine over k",
        "Ganeshan et al., ICCV 2021, figures 4 and 5; split into halves ours",
        "frugalseg.workflow.bench_propagation:propagation",
    ),
    "self_training_grid": Entry(
        "self-training's first share of pseudo-labels and its growth, scored after every round",
        "Zou et al., ECCV 2018, figure 5",
        "frugalseg.workflow.bench_grid:self_training_grid",
    ),
    "folds": Entry(
        "cross-validation over the source's labelled frames, sequences kept whole: 4 folds, each scored unseen",
        "ours; KITTI and its like",
        "frugalseg.workflow.bench_folds:folds",
    ),
}
