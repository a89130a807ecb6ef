"""Files of strangers, read within bounds: folders, archives, tables and tensors."""
