"""The painter: draws textured planes far to near, and remembers at each pixel which plane it saw.

Everything is drawn at twice the picture's size and averaged down, which smooths the edges.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frugalseg.data.toycity.camera import Camera, Matrices
from frugalseg.data.toycity.texture import MAX_LEVEL, Texture, brightened

NEAR_M = 0.5  # nothing nearer to the camera is drawn; keeps projected corners within OpenCV's 16-bit range
SUBPIXEL_BITS = 4
FLAT_PX = 12  # patches that cover fewer drawing pixels get their mean colour instead of their texture
_CORNERS_34 = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]], np.float64)


@dataclass(frozen=True)
class Patch:
    """What a plane looks like and means. `uid` is the same in every frame of a sequence.

    `glassy` patches let what is behind them shine through but count as one surface (railings);
    `two_sided` ones are seen from behind, too.
    """

    uid: int
    class_id: int
    texture: Texture
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    glassy: bool = False
    two_sided: bool = False


@dataclass(frozen=True, eq=False)
class Projected:
    """A frame's planes that are in view: their patches, homographies (plane → drawing pixel) and outlines."""

    patches: tuple[Patch, ...]
    homographies_N33: Matrices
    outlines: tuple[NDArray[np.int32], ...]  # convex polygons in 1/16 drawing pixels
    reductions_N2: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.patches)


def project(camera: Camera, patches: list[Patch], planes_N33: Matrices) -> Projected:
    """Keep what the camera sees of `patches`, in the given order."""
    homographies_N33 = camera.see(planes_N33)
    corners_N34 = homographies_N33 @ _CORNERS_34
    depth_N4 = corners_N34[:, 2]
    facing_N = np.asarray(np.linalg.det(homographies_N33), np.float64)
    two_sided_N = np.array([patch.two_sided for patch in patches], bool)
    front_N = (facing_N > 1e-9) | (two_sided_N & (facing_N < -1e-9))
    whole_N = np.asarray((depth_N4 >= NEAR_M).all(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels_N42 = np.swapaxes(corners_N34[:, :2] / depth_N4[:, None], 1, 2)
    height, width = camera.size_HW
    low_N2, high_N2 = pixels_N42.min(axis=1), pixels_N42.max(axis=1)
    outside_N = (high_N2 < 0).any(axis=1) | (low_N2[:, 0] > width - 1) | (low_N2[:, 1] > height - 1)
    keep_N = np.asarray(front_N & (depth_N4 > NEAR_M).any(axis=1) & ~(whole_N & outside_N))
    kept: list[int] = []
    outlines = []
    for index in np.flatnonzero(keep_N).tolist():
        points = pixels_N42[index] if whole_N[index] else _clipped(corners_N34[index])
        low, high = points.min(axis=0), points.max(axis=0)
        if high[0] < 0 or high[1] < 0 or low[0] > width - 1 or low[1] > height - 1:
            continue
        kept.append(index)
        outlines.append(np.round(np.clip(points, -16_000, 16_000) * (1 << SUBPIXEL_BITS)).astype(np.int32))
    return Projected(
        tuple(patches[index] for index in kept),
        homographies_N33[kept],
        tuple(outlines),
        _reductions([patches[index] for index in kept], pixels_N42[kept], whole_N[kept]),
    )


def _clipped(corners_34: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut a quadrilateral at the near plane; return its pixels."""
    corners = corners_34.T
    result = []
    for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if here[2] >= NEAR_M:
            result.append(here)
        if (here[2] >= NEAR_M) != (there[2] >= NEAR_M):
            share = (NEAR_M - here[2]) / (there[2] - here[2])
            result.append(here + share * (there - here))
    points = np.array(result)
    return np.asarray(points[:, :2] / points[:, 2:])


def _reductions(patches: list[Patch], pixels_N42: NDArray[np.float64], whole_N: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the powers of two by which each texture may be reduced across and down and stay finer than the pixels."""
    if not patches:
        return np.zeros((0, 2), np.int64)
    sides_N42 = pixels_N42 - np.roll(pixels_N42, 1, axis=1)
    length_N4 = np.hypot(sides_N42[..., 0], sides_N42[..., 1])
    shown_N2 = np.stack([length_N4[:, [1, 3]].max(axis=1), length_N4[:, [0, 2]].max(axis=1)], axis=1)
    texels_N2 = np.array([patch.texture.picture.shape[1::-1] for patch in patches], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        levels_N2 = np.floor(np.log2(texels_N2 / np.maximum(shown_N2, 1e-3)) + 0.3)
    levels_N2[~whole_N] = 0
    return np.asarray(np.clip(levels_N2, 0, MAX_LEVEL), np.int64)


class Painter:
    """The drawing: an RGBA image (or none, where only the surfaces are wanted) and the plane's id at each pixel."""

    def __init__(self, size_HW: tuple[int, int], colours: bool) -> None:
        self.image = np.zeros((*size_HW, 4), np.uint8) if colours else None
        self.ids = np.zeros(size_HW, np.uint16)

    def paint(self, planes: Projected, first_id: int) -> None:
        """Draw `planes` in their order; the n-th gets the id `first_id` + n."""
        if not len(planes):
            return
        pixel_to_plane_N33 = np.linalg.inv(planes.homographies_N33)
        for number, patch in enumerate(planes.patches):
            across, down = planes.reductions_N2[number].tolist()
            self._paint_one(
                patch, planes.outlines[number], pixel_to_plane_N33[number], (across, down), first_id + number
            )

    def _paint_one(
        self,
        patch: Patch,
        outline: NDArray[np.int32],
        pixel_to_plane: NDArray[np.float64],
        reduction: tuple[int, int],
        surface: int,
    ) -> None:
        left, top = (outline.min(axis=0) >> SUBPIXEL_BITS).tolist()
        right, bottom = ((outline.max(axis=0) >> SUBPIXEL_BITS) + 2).tolist()
        left, top = max(0, left), max(0, top)
        right, bottom = min(self.ids.shape[1], right), min(self.ids.shape[0], bottom)
        if right <= left or bottom <= top:
            return
        size = (right - left, bottom - top)
        solid = patch.texture.solid or patch.glassy
        if solid:
            cv2.fillConvexPoly(self.ids, outline, surface, shift=SUBPIXEL_BITS)
            if self.image is None:
                return
            if size[0] * size[1] <= FLAT_PX:
                cv2.fillConvexPoly(self.image, outline, _mean(patch), shift=SUBPIXEL_BITS)
                return
        mask = np.zeros((size[1], size[0]), np.uint8)
        corner = np.array([left, top], np.int32) << SUBPIXEL_BITS
        cv2.fillConvexPoly(mask, outline - corner, 1, shift=SUBPIXEL_BITS)
        where = (slice(top, bottom), slice(left, right))
        to_texture = _to_texture(patch.texture, reduction, pixel_to_plane, left, top)
        if not solid:
            mask &= _warp(patch.texture.opacity(*reduction), to_texture, size) >> 7
        if self.image is not None:
            self._colour(patch, _warp(patch.texture.reduced(*reduction), to_texture, size), mask, self.image[where])
        if not solid:
            np.copyto(self.ids[where], surface, where=mask.view(np.bool_))

    @staticmethod
    def _colour(patch: Patch, colours: NDArray[np.uint8], mask: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        if patch.gain != (1.0, 1.0, 1.0):
            colours = brightened(colours, patch.gain)
        if patch.glassy:
            weight = (colours[..., 3] * mask)[..., None].astype(np.float32) / 255
            colours = (target + (colours.astype(np.float32) - target) * weight).astype(np.uint8)
        cv2.copyTo(colours, mask, target)


def _mean(patch: Patch) -> list[float]:
    return [min(255.0, value * gain) for value, gain in zip(patch.texture.mean, (*patch.gain, 1.0), strict=True)]


def _to_texture(
    texture: Texture, reduction: tuple[int, int], pixel_to_plane: NDArray[np.float64], left: int, top: int
) -> NDArray[np.float64]:
    """Return the homography from pixels of the region at (left, top) to texels; texel centres are whole numbers."""
    height, width = texture.reduced(*reduction).shape[:2]
    shifted = pixel_to_plane.copy()
    shifted[:, 2] += pixel_to_plane[:, 0] * left + pixel_to_plane[:, 1] * top
    return np.array([[width, 0, -0.5], [0, height, -0.5], [0, 0, 1.0]]) @ shifted


def _warp(picture: NDArray[np.uint8], to_texture: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(picture, to_texture, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))
