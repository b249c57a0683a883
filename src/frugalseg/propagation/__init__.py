"""Labels spread through video: motion, warping, inpainting, refinement, and how far each pixel can be believed."""
