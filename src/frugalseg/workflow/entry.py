"""What an entry of the product's tables is."""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One thing that can be chosen by name: what it is in one line, where that comes from, where the code is."""

    summary: str
    source: str
    target: str
    config: str = ""

    def load(self) -> Any:
        """Import and return the object."""
        return _import(self.target)

    def load_config(self) -> Any:
        """Import and return its config class."""
        return _import(self.config)


def _import(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
