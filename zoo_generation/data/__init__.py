"""Image datasets: uint8 tensors in fixed splits, read from files, downloaded, or made on the spot."""

from zoo_generation.data.images import ImageDataset, Split
from zoo_generation.data.load import available_datasets, dataset_names, default_data_root, load_dataset

__all__ = [
    "ImageDataset",
    "Split",
    "available_datasets",
    "dataset_names",
    "default_data_root",
    "load_dataset",
]
