"""From folders to checked frames and batches: readers, manifest, labels, transforms, the toy city."""
