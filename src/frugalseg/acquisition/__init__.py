"""Selectors: scores in, questions out. Numpy only: no model, file, clock or global random state.

One file a selector; `view` holds what a selector sees of a frame, `grid` what selectors share.
"""
