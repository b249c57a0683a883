"""The command line: one file a verb, flags only; the work is done in `workflow`."""
