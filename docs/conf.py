"""How Sphinx builds these pages: plain Markdown through MyST, nothing fetched, every warning an error (`make docs`)."""

from frugalseg import __version__

project = "frugalseg"
author = "The frugalseg authors"
copyright = "The frugalseg authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "alabaster"
html_theme_options = {"description": "Segmentation that works in your new domain", "fixed_sidebar": True}
html_copy_source = False
html_show_sphinx = False
