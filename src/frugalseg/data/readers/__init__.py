"""One file a reader: a folder in some layout becomes a manifest."""
