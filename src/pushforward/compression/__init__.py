"""Lossless compression with exact discrete models: entropy coder, coding of events, and archives of pictures and arrays."""

from .archive import Archive
from .events import EventCoder, model_hash, one_thread
from .writing import ArchiveSummary, Item, compress

__all__ = ["Archive", "EventCoder", "Item", "ArchiveSummary", "compress", "model_hash", "one_thread"]
