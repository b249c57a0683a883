"""frugalseg: a segmentation model that works in your new domain, from as little human time as possible.

This module imports nothing, so that `import frugalseg` and `frugalseg --help` stay instant. Import from the module
that defines a name: `from frugalseg.core.classes import ClassSet`.
"""

__all__ = ["__version__"]
__version__ = "0.1.0"
