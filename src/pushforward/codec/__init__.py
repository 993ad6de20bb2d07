"""Lossless compression with exact discrete models: an entropy coder, events to bytes, archives of pictures and arrays."""

from .events import EventCoder, model_hash, one_thread

__all__ = ["EventCoder", "model_hash", "one_thread"]
