"""The network against its peers: vit-pytorch's block with the same weights, timm's and the paper's parameter counts."""

import copy

import numpy as np
import pytest
import torch
from conftest import shaken

from vigie_training.errors import InputError
from vigie_training.network import Detector, NetworkConfig, RawPixels, Stock, anchor_grid, fold_batch_norms
from vigie_training.network.mobilevit import MobileViTBlock, fold, unfold
from vigie_training.postprocess import decode_logits


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_block_equals_vit_pytorch_with_the_same_weights():
    peer_module = pytest.importorskip("vit_pytorch.mobile_vit")
    peer = shaken(peer_module.MobileViTBlock(dim=64, depth=2, channel=48, kernel_size=3, patch_size=(2, 2), mlp_dim=128))
    renamed = {}
    for key, value in peer.state_dict().items():
        key = key.replace("transformer.layers.", "transformer.")
        for theirs, ours in (
            (".0.norm.", ".norm1."), (".0.to_qkv.", ".attn.to_qkv."), (".0.to_out.0.", ".attn.to_out."),
            (".1.net.0.", ".norm2."), (".1.net.1.", ".mlp.0."), (".1.net.4.", ".mlp.2."),
        ):  # fmt: skip
            if key.startswith("transformer."):
                key = key.replace(theirs, ours)
        renamed[key] = value
    block = MobileViTBlock(channels=48, dim=64, depth=2).eval()
    block.load_state_dict(renamed)
    x = torch.randn(2, 48, 12, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert (block(x) - peer(x)).abs().max() < 2e-5


def test_unfold_is_einops_rearrangement_and_fold_undoes_it():
    einops = pytest.importorskip("einops")
    x = torch.randn(2, 6, 8, 12)
    theirs = einops.rearrange(x, "b d (h ph) (w pw) -> (b ph pw) (h w) d", ph=2, pw=2)
    assert torch.equal(unfold(x), theirs)
    assert torch.equal(fold(unfold(x), 2, 8, 12), x)


@pytest.mark.parametrize("size, paper_millions", [("xxs", 1.3), ("xs", 2.3), ("s", 5.6)])
def test_backbone_has_the_papers_parameters(size, paper_millions):
    timm = pytest.importorskip("timm")
    peer = timm.create_model(f"mobilevit_{size}", pretrained=False)
    theirs = sum(p.numel() for n, p in peer.named_parameters() if n.startswith(("stem", "stages")))
    config = NetworkConfig.load(size)
    # The paper's attention is as wide as the stream and has biases in qkv; ours has four heads of 8, as in vit-pytorch. The paper's
    # norm behind the transformer has as many parameters as our batch norm behind conv2. The rest must be equal to the last one.
    attention = sum(depth * ((4 * d * d + 4 * d) - (128 * d + d)) for d, depth in zip(config.dims, config.depths))
    assert parameters(Detector(21, config).backbone) + attention == theirs
    assert round(parameters(peer) / 1e6, 1) == paper_millions


def test_state_dict_keys_are_those_of_existing_checkpoints():
    keys = Detector(21, NetworkConfig.load("xxs")).state_dict().keys()
    assert len(keys) == 507
    for key in (
        "backbone.stem.0.weight", "backbone.stage2.2.conv.1.1.running_var", "backbone.stage4.1.transformer.3.attn.to_qkv.weight",
        "neck.fpn4.m.0.cv2.0.weight", "neck.sppf.cv2.1.bias", "head.box.2.1.0.weight", "head.cls.0.2.bias",
    ):  # fmt: skip
        assert key in keys


def test_folded_batch_norms_change_nothing():
    model = shaken(Detector(3, NetworkConfig.load("xxs")))
    folded = copy.deepcopy(model)
    fold_batch_norms(folded)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    x = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        for (a, b), (c, d) in zip(model(x), folded(x)):
            assert (a - c).abs().max() < 1e-4 and (b - d).abs().max() < 1e-4


def test_both_layouts_say_the_same():
    model = shaken(Detector(3, NetworkConfig.load("xxs")))
    pixels = torch.randint(0, 256, (1, 3, 64, 128), dtype=torch.uint8)
    with torch.no_grad():
        stock = Stock(model)(pixels.float() / 255)[0].numpy()
        maps = [m.numpy() for m in RawPixels(model)(pixels)]
    assert [m.shape for m in maps] == [(1, c, 64 // s, 128 // s) for s in (8, 16, 32) for c in (64, 3)]
    decoded = decode_logits(maps, 64, 128, 16)
    assert np.abs(decoded[:4] - stock[:4]).max() < 1e-2 and np.abs(decoded[4:] - stock[4:]).max() < 1e-5


def test_anchor_grid_is_row_major_with_stride_8_first():
    centres, strides = anchor_grid(64, 128)
    assert len(centres) == 8 * 16 + 4 * 8 + 2 * 4
    assert centres[0].tolist() == [4, 4] and centres[1].tolist() == [12, 4] and centres[16].tolist() == [4, 12]
    assert centres[128].tolist() == [8, 8] and strides[127:129].tolist() == [8, 16]


def test_network_files_are_checked(tmp_path):
    good = {"channels": [16, 16, 24, 48, 64, 80], "dims": [64, 80, 96], "depths": [2, 4, 3], "expand": 2}
    assert NetworkConfig.from_dict({"name": "mine", **good}, "test").heads == 4
    with pytest.raises(InputError, match="unknown key 'chanels'"):
        NetworkConfig.from_dict({"name": "mine", "chanels": 1, **good}, "test")
    with pytest.raises(InputError, match=r"dims = .* is not 3 positive integers"):
        NetworkConfig.from_dict({"name": "mine", **good, "dims": [64, 80]}, "test")
    with pytest.raises(InputError, match="neither a preset nor a file"):
        NetworkConfig.load("xxl")
    (tmp_path / "tiny.yaml").write_text("channels: [8, 8, 8, 16, 16, 16]\ndims: [16, 16, 16]\ndepths: [1, 1, 1]\nexpand: 2\n")
    assert NetworkConfig.load(str(tmp_path / "tiny.yaml")).name == "tiny"
