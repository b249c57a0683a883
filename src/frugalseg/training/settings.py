"""The settings every method shares. A method's own config inherits these, so that one flat TOML holds all of a run."""

from typing import Literal

from pydantic import Field

from frugalseg.data.transforms import AugmentConfig


class TrainConfig(AugmentConfig):
    """How long, how fast and on what: shared by all methods."""

    start: Literal["checkpoint", "pretrained"] = Field(
        "checkpoint",
        description="first weights: those of the checkpoint given, or the pretrained trunk and a fresh decoder",
    )
    steps: int = Field(600, ge=1, description="training steps (of each round, for methods with rounds)")
    batch_size: int = Field(4, ge=1, description="frames a step from each domain, on each device")
    height: int = Field(240, ge=16, description="height of the network's input in pixels")
    width: int = Field(320, ge=16, description="width of the network's input in pixels")
    optimizer: Literal["sgd", "adamw"] = Field("adamw", description="sgd with momentum .9, or adamw")
    lr: float = Field(5e-4, gt=0, description="learning rate of the encoder")
    head_lr_factor: float = Field(3.0, gt=0, description="the decoder's rate is lr times this")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay")
    poly_power: float = Field(0.9, ge=0, description="exponent of the poly schedule")
    warm_up: int = Field(20, ge=0, description="steps of linear warm-up")
    ema: float = Field(
        0.99, ge=0, lt=1, description="decay of the weights' moving average, which is then the model; 0 = off"
    )
    class_weighting: float = Field(0.5, ge=0, le=1, description="power of median-frequency weights; 0 = none, 1 = full")
    batch_statistics: Literal["shared", "per_domain"] = Field(
        "per_domain",
        description="BatchNorm statistics of source and target: mixed, or kept apart (target's are the model's)",
    )
    recompute_statistics: int = Field(
        0, ge=0, description="target images on which BatchNorm statistics are recomputed at the end; 0 = keep"
    )
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field("32-true", description="arithmetic")
    save_every: int = Field(100, ge=1, description="steps between checkpoints")
    log_every: int = Field(20, ge=1, description="steps between log lines")
    keep_networks: bool = Field(
        False, description="also keep the network after each round or stage, in networks/ of the stage's folder"
    )
    loader_threads: int = Field(1, ge=1, description="threads that prepare batches; the batches do not depend on it")
    seed: int = Field(0, ge=0, description="seed of everything random")

    @property
    def repeats(self) -> int:
        """How often `steps` are taken: the rounds or stages of methods that have several."""
        return 1

    @property
    def input_hw(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.height, self.width


class AnsweredConfig(TrainConfig):
    """What methods that learn from people's answers on target frames have in common."""

    lr: float = Field(2e-3, gt=0, description="learning rate of the encoder")
    zoom_min: float = Field(0.8, gt=0, description="smallest zoom into a frame; below 1 shows IGNORE around it")
    target_zoom_min: float = Field(0.8, gt=0, description="smallest zoom into a target frame")
    zoom_max: float = Field(1.5, gt=0, description="largest zoom into a frame")
    color_jitter: float = Field(0.3, ge=0, lt=1, description="brightness, contrast, saturation: factor within 1 ± this")
    hue_jitter: float = Field(0.03, ge=0, le=0.5, description="hue: turns of the colour wheel, ± this")
    target_class_weights: Literal["own", "source", "none"] = Field(
        "own", description="class weights of the target's terms: by each term's own labels, the source's, or none"
    )
