"""Trainers: model specs and images in, trained models out."""

from zoo_generation.trainers.single import train_model

__all__ = ["train_model"]
