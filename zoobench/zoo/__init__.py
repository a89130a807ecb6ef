"""A zoo on disk: tables of models and checkpoints in Parquet, weights in safetensors, a JSON card."""

from zoobench.zoo.schema import POPULATION, population_names
from zoobench.zoo.sink import ZooSink
from zoobench.zoo.splits import split_models
from zoobench.zoo.store import Zoo, latest_zoo, zoo_path

__all__ = ["POPULATION", "Zoo", "ZooSink", "latest_zoo", "population_names", "split_models", "zoo_path"]
