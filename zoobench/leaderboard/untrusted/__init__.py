"""Read files of strangers within bounds: folders, archives, tables and tensors."""
