"""Trains, evaluates, exports and quantizes Vigie's detector, a MobileViT backbone under a YOLOv8 neck and head."""

__version__ = "0.1.0"
