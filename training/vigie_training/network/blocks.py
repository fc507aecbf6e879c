"""The convolutional building blocks.

Attribute names are the state-dict keys of every checkpoint there is: renaming one orphans the trained weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBN(nn.Sequential):
    """Convolution without bias, batch norm, and SiLU unless `act` is false."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True):
        conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        parts: list[nn.Module] = [conv, nn.BatchNorm2d(c_out, momentum=0.1)]
        if act:
            parts.append(nn.SiLU(inplace=True))
        super().__init__(*parts)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen by 1x1, filter each channel by 3x3, narrow by 1x1 with no activation."""

    def __init__(self, c_in: int, c_out: int, stride: int, expand: int):
        super().__init__()
        wide = c_in * expand
        self.conv = nn.Sequential(
            ConvBN(c_in, wide),
            ConvBN(wide, wide, kernel=3, stride=stride, groups=wide),
            ConvBN(wide, c_out, act=False),
        )
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class SPPF(nn.Module):
    """Three 5x5 max-pools in a row see neighbourhoods of 5, 9 and 13 cells at little cost."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        self.cv1 = ConvBN(c_in, c_in // 2)
        self.cv2 = ConvBN(4 * (c_in // 2), c_out)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [self.cv1(x)]
        for _ in range(3):
            pooled.append(F.max_pool2d(pooled[-1], kernel_size=5, stride=1, padding=2))
        return self.cv2(torch.cat(pooled, dim=1))


class Bottleneck(nn.Module):
    """Two 3x3 convolutions; no shortcut, as in YOLOv8's neck."""

    def __init__(self, channels: int):
        super().__init__()
        self.cv1 = ConvBN(channels, channels, kernel=3)
        self.cv2 = ConvBN(channels, channels, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.cv2(self.cv1(x))


class C2f(nn.Module):
    """Split in two, send one half through the bottlenecks, merge all that was seen on the way."""

    def __init__(self, c_in: int, c_out: int, repeats: int = 1):
        super().__init__()
        self.half = c_out // 2
        self.cv1 = ConvBN(c_in, 2 * self.half)
        self.cv2 = ConvBN((2 + repeats) * self.half, c_out)
        self.m = nn.ModuleList(Bottleneck(self.half) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        seen = list(torch.split(self.cv1(x), self.half, dim=1))
        for bottleneck in self.m:
            seen.append(bottleneck(seen[-1]))
        return self.cv2(torch.cat(seen, dim=1))
