"""Questions out to other tools, answers back: one file a format."""
