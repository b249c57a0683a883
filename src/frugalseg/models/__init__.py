"""Segmentation networks, one file per family; `build` makes one by name, `store` saves and loads it without pickles."""
