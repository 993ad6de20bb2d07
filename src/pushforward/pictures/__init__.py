"""Pictures: files, sets of pictures, named datasets, and random crops."""

from .conditions import Condition, condition_from, scaled
from .datasets import DATASETS, Dataset, load_dataset
from .picture_files import to_grid, write_images, write_picture
from .picture_sets import ImageSet, ImageSplit
from .reading import read_images

__all__ = [
    "Condition",
    "DATASETS",
    "Dataset",
    "ImageSet",
    "ImageSplit",
    "condition_from",
    "load_dataset",
    "read_images",
    "scaled",
    "to_grid",
    "write_images",
    "write_picture",
]
