"""MobileViT (Mehta and Rastegari, 2021): convolutions for what is near, a transformer over 2x2 patches for what is far.

The block is the one of vit-pytorch (heads of 8, no norm after the transformer, batch norm + SiLU behind every
convolution of it), which a test compares weight for weight. Every tensor has at most four axes, because inference engines
for small boards handle those best.
"""

import torch
from torch import Tensor, nn

from .blocks import ConvBN, InvertedResidual
from .config import NetworkConfig

PATCH = 2


class Attention(nn.Module):
    """Multi-head self-attention over axis 1 of B x tokens x dim."""

    def __init__(self, dim: int, heads: int, dim_head: int):
        super().__init__()
        self.heads, self.dim_head = heads, dim_head
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape

        def per_head(t: Tensor) -> Tensor:
            return t.reshape(batch, tokens, self.heads, self.dim_head).transpose(1, 2)

        query, key, value = map(per_head, self.to_qkv(x).chunk(3, dim=-1))
        # Written out because torch's fused attention is slower for heads this small, and because it exports as it stands.
        weights = torch.softmax(query @ key.transpose(2, 3) * self.dim_head**-0.5, dim=-1)
        return self.to_out((weights @ value).transpose(1, 2).reshape(batch, tokens, self.heads * self.dim_head))


class TransformerLayer(nn.Module):
    """Pre-norm attention and a two-layer perceptron, each added to the stream."""

    def __init__(self, dim: int, mlp_dim: int, heads: int, dim_head: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads, dim_head)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), nn.SiLU(), nn.Linear(mlp_dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def unfold(x: Tensor) -> Tensor:
    """B x d x H x W -> 4B x (H/2 · W/2) x d: position k of every 2x2 patch becomes a sequence of its own."""
    b, d, height, width = x.shape
    h, w = height // PATCH, width // PATCH
    rows = x.reshape(b * d * h, PATCH, w, PATCH).transpose(1, 2)
    return rows.reshape(b, d, h * w, PATCH * PATCH).transpose(1, 3).reshape(b * PATCH * PATCH, h * w, d)


def fold(tokens: Tensor, b: int, height: int, width: int) -> Tensor:
    """The inverse of `unfold`."""
    d = tokens.shape[2]
    h, w = height // PATCH, width // PATCH
    patches = tokens.reshape(b, PATCH * PATCH, h * w, d).transpose(1, 3)
    return patches.reshape(b * d * h, w, PATCH, PATCH).transpose(1, 2).reshape(b, d, height, width)


class MobileViTBlock(nn.Module):
    """Local convolutions, the transformer on patches, and a merge with what came in."""

    def __init__(self, channels: int, dim: int, depth: int, heads: int = 4, dim_head: int = 8, mlp_ratio: int = 2):
        super().__init__()
        self.conv1 = ConvBN(channels, channels, kernel=3)
        self.conv2 = ConvBN(channels, dim)
        self.transformer = nn.Sequential(*(TransformerLayer(dim, mlp_ratio * dim, heads, dim_head) for _ in range(depth)))
        self.conv3 = ConvBN(dim, channels)
        self.conv4 = ConvBN(2 * channels, channels, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        local = self.conv2(self.conv1(x))
        b, _, height, width = local.shape
        far = fold(self.transformer(unfold(local)), b, height, width)
        if self.training:
            far = far.contiguous(memory_format=torch.channels_last)
        return self.conv4(torch.cat((self.conv3(far), x), dim=1))


class Backbone(nn.Module):
    """Five stages; the last three end in a MobileViT block and are what the neck reads (strides 8, 16, 32)."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        c, expand = config.channels, config.expand

        def with_transformer(level: int) -> nn.Sequential:
            c_in, c_out = c[2 + level], c[3 + level]
            block = MobileViTBlock(c_out, config.dims[level], config.depths[level], config.heads, config.dim_head, config.mlp_ratio)
            return nn.Sequential(InvertedResidual(c_in, c_out, 2, expand), block)

        self.stem = ConvBN(3, c[0], kernel=3, stride=2)
        self.stage1 = nn.Sequential(InvertedResidual(c[0], c[1], 1, expand))
        self.stage2 = nn.Sequential(*(InvertedResidual(c[1] if i == 0 else c[2], c[2], 2 if i == 0 else 1, expand) for i in range(3)))
        self.stage3, self.stage4, self.stage5 = with_transformer(0), with_transformer(1), with_transformer(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p3 = self.stage3(self.stage2(self.stage1(self.stem(x))))
        p4 = self.stage4(p3)
        return p3, p4, self.stage5(p4)
