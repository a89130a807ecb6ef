"""Image datasets: uint8 tensors in fixed splits, read from files, downloaded, or made on the spot."""

from zoo_generation.data.entry import DatasetEntry
from zoo_generation.data.images import ImageDataset, Split
from zoo_generation.data.load import available_datasets, default_data_root, load_dataset
from zoo_generation.data.registry import dataset_names, get_dataset
from zoo_generation.data.source import ImageRows, ImageSource

__all__ = [
    "DatasetEntry",
    "ImageDataset",
    "ImageRows",
    "ImageSource",
    "Split",
    "available_datasets",
    "dataset_names",
    "default_data_root",
    "get_dataset",
    "load_dataset",
]
