"""The network: MobileViT backbone, path-aggregating neck, anchor-free head."""

from .config import NetworkConfig, preset_names
from .detector import Detector, RawPixels, Stock, fold_batch_norms
from .grid import STRIDES, anchor_grid

__all__ = ["STRIDES", "Detector", "NetworkConfig", "RawPixels", "Stock", "anchor_grid", "fold_batch_norms", "preset_names"]
