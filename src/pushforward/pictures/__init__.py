"""Pictures: files, sets of pictures, named datasets, random crops, and clips."""

from .clip_sets import ClipSet, ClipSplit, read_clips, write_clips
from .datasets import DATASETS, Dataset, load_dataset
from .given import PictureCondition, condition_from, scaled
from .picture_files import to_grid, write_images, write_picture
from .picture_sets import ImageSet, ImageSplit
from .reading import read_images

__all__ = [
    "ClipSet",
    "ClipSplit",
    "PictureCondition",
    "DATASETS",
    "Dataset",
    "ImageSet",
    "ImageSplit",
    "condition_from",
    "load_dataset",
    "read_clips",
    "read_images",
    "scaled",
    "to_grid",
    "write_clips",
    "write_images",
    "write_picture",
]
