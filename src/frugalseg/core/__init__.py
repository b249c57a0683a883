"""The vocabulary every layer speaks: classes, records, errors, config, artifacts, codec, chance, cost. No torch."""
