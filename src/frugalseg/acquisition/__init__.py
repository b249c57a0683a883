"""Selectors: scores in, questions out. Numpy only: no model, file, clock or global random state.

One file a selector; `view` holds what a selector of points sees of a frame, `grid` what they share; `images` both for
selectors of whole images.
"""
