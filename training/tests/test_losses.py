"""Boxes, assignment and loss against cases worked out by hand."""

import math

import pytest
import torch
from torch.nn import functional as F

from vigie_training.losses import DetectionLoss, assign, complete_iou
from vigie_training.losses.detection import distribution_loss
from vigie_training.network import anchor_grid


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_ciou_of_equal_boxes_is_one():
    assert complete_iou(boxes([2, 3, 12, 9]), boxes([2, 3, 12, 9])).item() == pytest.approx(1, abs=1e-5)


def test_ciou_takes_off_the_distance_of_the_centres():
    # Same shape, moved by 5: overlap 50 of 150; the box around both is 15 x 10; centres are 5 apart.
    expected = 50 / 150 - 25 / (15**2 + 10**2)
    assert complete_iou(boxes([0, 0, 10, 10]), boxes([5, 0, 15, 10])).item() == pytest.approx(expected, abs=1e-5)


def test_ciou_takes_off_the_difference_in_shape():
    # Same centre, 10 x 10 against 20 x 10: IoU 1/2, no distance; v = 4/pi² (atan 2 - atan 1)², alpha = v / (v - IoU + 1).
    v = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    expected = 0.5 - v * v / (v + 0.5)
    assert complete_iou(boxes([5, 0, 15, 10]), boxes([0, 0, 20, 10])).item() == pytest.approx(expected, abs=1e-5)


def test_ciou_of_far_boxes_is_negative():
    assert complete_iou(boxes([0, 0, 2, 2]), boxes([50, 50, 52, 52])).item() < -0.8


def test_only_anchors_inside_an_object_are_assigned_and_the_best_come_first():
    centres = boxes([5, 5], [15, 5], [25, 5], [35, 5])
    objects = boxes([0, 0, 30, 10])[None]
    labels = torch.tensor([[0]])
    predicted = boxes([0, 0, 30, 10], [0, 0, 24, 10], [0, 0, 15, 10], [0, 0, 30, 10])[None]
    scores = torch.full((1, 4, 2), 0.25)
    found = assign(scores, predicted, centres, labels, objects, top=2)
    assert found.positive.tolist() == [[True, True, False, False]]
    # Alignment: 0.5·1 against 0.5·ciou⁶; the best aims at its IoU of 1, the second at its share.
    second = complete_iou(objects[0], predicted[0, 1:2]).item()
    assert found.quality[0].tolist() == pytest.approx([1, second**6, 0, 0], abs=1e-4)


def test_a_contested_anchor_goes_to_the_object_that_it_overlaps_most():
    centres = boxes([10, 10])
    objects = boxes([0, 0, 20, 20], [5, 5, 40, 40])[None]
    found = assign(torch.full((1, 1, 2), 0.5), boxes([4, 4, 40, 40])[None], centres, torch.tensor([[0, 1]]), objects)
    assert found.positive.item() and found.objects.item() == 1


def test_padding_objects_are_never_assigned():
    found = assign(torch.rand(1, 4, 2), torch.rand(1, 4, 4), torch.rand(4, 2), torch.tensor([[-1]]), torch.zeros(1, 1, 4))
    assert not found.positive.any() and found.quality.sum() == 0


@pytest.mark.parametrize("box", [[2, 33, 22, 35], [50, 5, 52, 60], [5, 5, 7, 7], [0, 0, 2, 2], [62, 62, 64, 64], [13, 13, 19, 19]])
def test_every_object_has_an_anchor_however_thin_it_is(box):
    centres = torch.from_numpy(anchor_grid(64, 64)[0])
    object_ = boxes(box)
    # As near as an anchor outside can come: a predicted box has its anchor in it.
    predicted = torch.cat((torch.minimum(centres, object_[:, :2]), torch.maximum(centres, object_[:, 2:])), 1)[None]
    found = assign(torch.full((1, len(centres), 1), 0.3), predicted, centres, torch.tensor([[0]]), object_[None])
    assert found.positive.any() and found.quality.max() > 0
    chosen = centres[found.positive[0]]
    assert ((chosen > object_[:, :2] - 8) & (chosen < object_[:, 2:] + 8)).all(), "no farther than one cell"


def test_objects_with_an_anchor_inside_are_not_widened():
    centres = torch.from_numpy(anchor_grid(64, 64)[0])
    predicted = torch.cat((centres - 4, centres + 4), 1)[None]
    found = assign(torch.full((1, len(centres), 1), 0.3), predicted, centres, torch.tensor([[0]]), boxes([3, 3, 6, 6])[None])
    assert centres[found.positive[0]].tolist() == [[4, 4]]


def test_distribution_loss_shares_between_neighbouring_bins():
    logits = torch.randn(1, 4 * 16, generator=torch.Generator().manual_seed(3))
    log_p = logits.reshape(4, 16).log_softmax(-1)
    expected = -(0.75 * log_p[0, 2] + 0.25 * log_p[0, 3] + log_p[1, 0] + log_p[2, 5] + 0.01 * log_p[3, 14] + 0.99 * log_p[3, 15]) / 4
    # 2.25 lies a quarter of the way from bin 2 to bin 3; 99 is cut to 14.99.
    got = distribution_loss(logits, torch.tensor([[2.25, 0, 5, 99]]), 16)
    assert got.item() == pytest.approx(expected.item(), abs=1e-4)


def empty_logits(nc, size=64, value=-2.0):
    return [(torch.zeros(1, 64, size // s, size // s), torch.full((1, nc, size // s, size // s), value)) for s in (8, 16, 32)]


def test_without_objects_only_the_class_loss_remains():
    anchors = len(anchor_grid(64, 64)[0])
    none = torch.zeros(1, 1, 4), torch.tensor([[-1]]), torch.zeros(1, 1)
    loss, parts = DetectionLoss(2)(empty_logits(2), (64, 64), *none, torch.ones(1, anchors, 2))
    assert parts.box == 0 and parts.dfl == 0
    assert loss.item() == pytest.approx(0.5 * anchors * 2 * F.softplus(torch.tensor(-2.0)).item(), rel=1e-4)


def test_classes_that_are_not_labelled_cost_nothing_but_assigned_objects_always_count():
    logits = empty_logits(2)
    for _, c in logits:
        c.requires_grad_()
    anchors = len(anchor_grid(64, 64)[0])
    objects, labels = boxes([8, 8, 40, 40])[None], torch.tensor([[0]])
    loss, _ = DetectionLoss(2)(logits, (64, 64), objects, labels, torch.ones(1, 1), torch.zeros(1, anchors, 2))
    loss.backward()
    grads = torch.cat([c.grad.flatten(2) for _, c in logits], 2)[0]
    assert (grads[1] == 0).all(), "class 1 is not labelled in this picture"
    assert 0 < (grads[0] != 0).sum() <= 10, "the anchors assigned to the object learn its class"


def test_the_loss_can_be_brought_near_its_minimum():
    torch.manual_seed(0)
    logits = [(b.requires_grad_(), c.requires_grad_()) for b, c in empty_logits(2)]
    anchors = len(anchor_grid(64, 64)[0])
    objects, labels = boxes([8, 8, 40, 40], [30, 30, 62, 60])[None], torch.tensor([[0, 1]])
    optimizer = torch.optim.Adam([t for pair in logits for t in pair], lr=0.1)
    history = []
    for _ in range(150):
        loss, parts = DetectionLoss(2)(logits, (64, 64), objects, labels, torch.ones(1, 2), torch.ones(1, anchors, 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append((loss.item(), parts.box.item()))
    assert history[-1][0] < 0.35 * history[0][0] and history[-1][1] < 0.05


def loss_of_one(score: float, logit: float, weight: float = 1.0):
    """The class loss where one anchor's box is exactly that of the one object. -> it, and the gradient at that anchor."""
    anchors, nc = len(anchor_grid(64, 64)[0]), 1
    logits = [(torch.zeros(1, 64, 64 // s, 64 // s), torch.full((1, nc, 64 // s, 64 // s), -30.0)) for s in (8, 16, 32)]
    # The anchor at (20, 20) of the finest map: two strides to each side.
    logits[0][0].view(1, 4, 16, 8, 8)[0, :, 2, 2, 2] = 50
    logits[0][1][0, 0, 2, 2] = logit
    logits[0][1].requires_grad_()
    objects, labels = boxes([4, 4, 36, 36])[None], torch.tensor([[0]])
    loss, parts = DetectionLoss(nc)(logits, (64, 64), objects, labels, torch.tensor([[score]]), torch.full((1, anchors, nc), weight))
    loss.backward()
    return parts, logits[0][1].grad[0, 0, 2, 2].item()


def test_a_score_is_what_the_class_aims_at():
    for score in (0.4, 0.7, 1.0):
        below, above = (loss_of_one(score, math.log(p / (1 - p)))[1] for p in (score - 0.05, min(score + 0.05, 0.9999)))
        assert below < 0 and (above > 0 or score == 1.0), "pushed towards the score from both sides"
    at = loss_of_one(0.6, math.log(0.6 / 0.4))[1]
    assert at == pytest.approx(0, abs=1e-3)


def test_a_box_counts_as_much_as_it_is_sure():
    anchors = len(anchor_grid(64, 64)[0])
    objects, labels = boxes([4, 4, 36, 36], [30, 38, 62, 62])[None], torch.tensor([[0, 1]])

    def slope(scores):
        logits = [(b.requires_grad_(), c) for b, c in empty_logits(2)]
        DetectionLoss(2)(logits, (64, 64), objects, labels, torch.tensor([scores]), torch.ones(1, anchors, 2))[0].backward()
        grad = logits[0][0].grad[0].abs().sum(0)
        return grad[:4, :4].sum() / grad[5:, 5:].sum()

    assert slope([0.5, 1.0]).item() == pytest.approx(0.5 * slope([1.0, 1.0]).item(), rel=1e-3)
