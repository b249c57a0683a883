"""What a model is worth: confusion counts, intervals over frames, comparison at equal human time, the report."""
