"""Pictures: files, sets of pictures, named datasets, and random crops."""

from .datasets import DATASETS, Dataset, load_dataset
from .picture_files import to_grid, write_images, write_picture
from .picture_sets import ImageSet, ImageSplit
from .reading import read_images

__all__ = [
    "DATASETS",
    "Dataset",
    "ImageSet",
    "ImageSplit",
    "load_dataset",
    "read_images",
    "to_grid",
    "write_images",
    "write_picture",
]
