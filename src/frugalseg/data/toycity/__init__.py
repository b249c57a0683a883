"""A generated street world in two looks: images, labels, video and exact optical flow, all from a seed."""

from frugalseg.data.toycity.classes import CLASSES
from frugalseg.data.toycity.dataset import write_dataset
from frugalseg.data.toycity.looks import LOOKS
from frugalseg.data.toycity.render import ToyFrame, render

__all__ = ["CLASSES", "LOOKS", "ToyFrame", "render", "write_dataset"]
