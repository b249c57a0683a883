"""One file a method, named as in its paper."""
