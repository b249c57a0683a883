"""The only place where layers meet: the catalog, and one file per stage."""
