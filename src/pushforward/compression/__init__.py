"""Lossless compression with exact discrete models: an entropy coder, events to bytes, archives of pictures and arrays."""

from .archive import Archive
from .events import EventCoder, model_hash, one_thread
from .writing import ArchiveSummary, Item, compress

__all__ = ["Archive", "EventCoder", "Item", "ArchiveSummary", "compress", "model_hash", "one_thread"]
