"""The whole detector, and the two layouts it is exported in.

Input: B x 3 x H x W, RGB, 0..1; H and W multiples of 64, so that the stride-32 map splits into 2x2 patches.
Output: for strides 8, 16, 32 a pair of logits: boxes B x 4·reg_max x h x w, classes B x nc x h x w.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import SPPF, C2f, ConvBN
from .config import NetworkConfig
from .grid import STRIDES, anchor_grid
from .mobilevit import Backbone

Logits = list[tuple[Tensor, Tensor]]


class Neck(nn.Module):
    """Spatial pyramid pooling, then coarse-to-fine and fine-to-coarse merging (PAN-FPN)."""

    def __init__(self, c_in: tuple[int, ...], widths: tuple[int, ...]):
        super().__init__()
        w3, w4, w5 = widths
        self.sppf = SPPF(c_in[2], w5)
        self.fpn4 = C2f(w5 + c_in[1], w4)
        self.fpn3 = C2f(w4 + c_in[0], w3)
        self.down3 = ConvBN(w3, w3, kernel=3, stride=2)
        self.pan4 = C2f(w3 + w4, w4)
        self.down4 = ConvBN(w4, w4, kernel=3, stride=2)
        self.pan5 = C2f(w4 + w5, w5)

    def forward(self, p3: Tensor, p4: Tensor, p5: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        def twice(x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=2.0, mode="nearest")

        n5 = self.sppf(p5)
        n4 = self.fpn4(torch.cat((twice(n5), p4), dim=1))
        o3 = self.fpn3(torch.cat((twice(n4), p3), dim=1))
        o4 = self.pan4(torch.cat((self.down3(o3), n4), dim=1))
        o5 = self.pan5(torch.cat((self.down4(o4), n5), dim=1))
        return o3, o4, o5


class Head(nn.Module):
    """Boxes and classes from separate branches, for every stride."""

    def __init__(self, nc: int, widths: tuple[int, ...], reg_max: int):
        super().__init__()
        box_width = max(16, widths[0] // 4, 4 * reg_max)
        cls_width = max(widths[0], min(nc, 100))

        def branch(c_in: int, width: int, c_out: int) -> nn.Sequential:
            return nn.Sequential(ConvBN(c_in, width, kernel=3), ConvBN(width, width, kernel=3), nn.Conv2d(width, c_out, 1))

        self.box = nn.ModuleList(branch(w, box_width, 4 * reg_max) for w in widths)
        self.cls = nn.ModuleList(branch(w, cls_width, nc) for w in widths)
        for box, cls, stride in zip(self.box, self.cls, STRIDES):
            nn.init.constant_(box[-1].bias, 1.0)
            # About five objects in a 640-pixel picture: without this prior the first steps only learn that most cells are empty.
            nn.init.constant_(cls[-1].bias, math.log(5 / nc / (640 / stride) ** 2))

    def forward(self, maps: tuple[Tensor, ...]) -> Logits:
        return [(box(m), cls(m)) for box, cls, m in zip(self.box, self.cls, maps)]


class Detector(nn.Module):
    """Backbone, neck and head."""

    def __init__(self, nc: int, config: NetworkConfig):
        super().__init__()
        self.nc, self.config = nc, config
        self.backbone = Backbone(config)
        self.neck = Neck(config.channels[3:], config.neck)
        self.head = Head(nc, config.neck, config.reg_max)

    def forward(self, x: Tensor) -> Logits:
        return self.head(self.neck(*self.backbone(x)))


def expected_distances(box_logits: Tensor, reg_max: int) -> Tensor:
    """B x 4·reg_max x N logits -> B x 4 x N distances from the anchor point, in strides: left, top, right, bottom."""
    b, _, n = box_logits.shape
    probabilities = box_logits.reshape(b * 4, reg_max, n).softmax(dim=1)
    bins = torch.arange(reg_max, dtype=probabilities.dtype, device=probabilities.device).reshape(1, reg_max, 1)
    return (probabilities * bins).sum(dim=1).reshape(b, 4, n)


class Stock(nn.Module):
    """The layout of Ultralytics' exports: f32 pixels 0..1 in, B x (4+nc) x N out (cx, cy, w, h in pixels; probabilities)."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        logits = self.detector(images)
        centres, strides = (torch.from_numpy(a).to(images.device) for a in anchor_grid(int(images.shape[2]), int(images.shape[3])))
        boxes = torch.cat([b.flatten(2) for b, _ in logits], dim=2).float()
        scores = torch.cat([c.flatten(2) for _, c in logits], dim=2).float().sigmoid()
        near, far = (expected_distances(boxes, self.detector.config.reg_max) * strides).split(2, dim=1)
        return torch.cat((centres.t().unsqueeze(0) + (far - near) * 0.5, near + far, scores), dim=1)


class RawPixels(nn.Module):
    """Vigie's own layout: u8 pixels in, the six logit maps out (box8, cls8, box16, cls16, box32, cls32)."""

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(t for pair in self.detector(images.float() * (1 / 255)) for t in pair)


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place. For inference only."""
    for block in module.modules():
        if not (isinstance(block, ConvBN) and isinstance(block[1], nn.BatchNorm2d)):
            continue
        conv, norm = block[0], block[1]
        gain = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        folded = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, groups=conv.groups)
        folded.weight.data = conv.weight.detach() * gain.reshape(-1, 1, 1, 1)
        folded.bias.data = norm.bias.detach() - norm.running_mean * gain
        block[0], block[1] = folded, nn.Identity()
