"""Other orders, loops, einsum, PyTorch and finite differences, for the exercises of 04."""

import math

import numpy as np
import torch


def slopes_by_nudging(x, w, b, t):
    def loss(x, w, b):
        return (math.tanh(w * x + b) - t) ** 2

    h = 1e-5
    return [
        (loss(x, w + h, b) - loss(x, w - h, b)) / (2 * h),
        (loss(x, w, b + h) - loss(x, w, b - h)) / (2 * h),
        (loss(x + h, w, b) - loss(x - h, w, b)) / (2 * h),
    ]


def slopes_torch(x, w, b, t):
    y = torch.tanh(torch.tensor(w * x + b, dtype=torch.float64))
    to_a = 2 * (y - t) * (1 - y**2)
    return x * to_a, to_a, (w * to_a).float()


def slopes_with_cosh(x, w, b, t):
    a = w * x + b
    to_a = 2 * (math.tanh(a) - t) / math.cosh(a) ** 2
    return [np.float64(to_a * x), to_a, to_a * w]


def walk_every_path(output):
    """Each message is carried to the end by itself: slow for large graphs, and right."""

    def carry(value, message):
        value.grad += message
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            carry(parent, message * slope)

    carry(output, 1.0)


def walk_paths_on_a_stack(output):
    waiting = [(output, 1.0)]
    while waiting:
        value, message = waiting.pop()
        value.grad += message
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            waiting.append((parent, slope * message))


def walk_when_all_have_spoken(output):
    """Counts for each value how many messages are still to come."""
    expected, found = {output: 0}, [output]
    for value in found:
        for parent in value.parents:
            if parent not in expected:
                expected[parent] = 0
                found.append(parent)
            expected[parent] += 1
    output.grad, ready = 1.0, [output]
    while ready:
        value = ready.pop(0)
        for parent, slope in zip(value.parents, value.slopes, strict=True):
            parent.grad += slope * value.grad
            expected[parent] -= 1
            if expected[parent] == 0:
                ready.append(parent)


def walk_by_depth(output):
    def depth(value):
        return 1 + max(map(depth, value.parents), default=0)

    values = {output}
    while True:
        more = values | {parent for value in values for parent in value.parents}
        if more == values:
            break
        values = more
    output.grad = 1
    for value in sorted(values, key=depth, reverse=True):
        for i, parent in enumerate(value.parents):
            parent.grad = parent.grad + value.slopes[i] * value.grad


def learn_zeroing_last(numbers, loss_of, rate, steps):
    step = 0
    while step < steps:
        walk_by_depth(loss_of())
        for number in numbers:
            number.data = number.data - number.grad * rate
            number.grad = 0
        step += 1


def learn_keeping_the_losses(numbers, loss_of, rate, steps):
    losses = []
    for _ in range(steps):
        loss = loss_of()
        for number in numbers:
            number.grad = 0.0
        walk_when_all_have_spoken(loss)
        slopes = [number.grad for number in numbers]
        for number, slope in zip(numbers, slopes, strict=True):
            number.data += -rate * slope
        losses.append(loss.data)
    return losses


def unbroadcast_at_once(gradient, shape):
    new = gradient.ndim - len(shape)
    axes = (*range(new), *(new + i for i, size in enumerate(shape) if size == 1))
    return gradient.sum(axes).reshape(shape)


def unbroadcast_in_a_loop(gradient, shape):
    out, numbers = np.zeros(shape), np.arange(math.prod(shape)).reshape(shape)
    for part, place in zip(gradient.ravel(), np.broadcast_to(numbers, gradient.shape).ravel(), strict=True):
        out.ravel()[place] += part
    return out


def unbroadcast_while(gradient, shape):
    while gradient.ndim > len(shape):
        gradient = gradient.sum(0)
    for axis in range(len(shape)):
        if gradient.shape[axis] != shape[axis]:
            gradient = gradient.sum(axis, keepdims=True)
    return gradient


def unbroadcast_torch(gradient, shape):
    return torch.from_numpy(gradient).sum_to_size(shape)


def layer_einsum(x, w, g):
    return np.einsum("btm,km->btk", g, w), np.einsum("btk,btm->km", x, g), np.einsum("btm->m", g)


def layer_flat(x, w, g):
    rows, flat = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    return (flat @ w.T).reshape(x.shape), rows.T @ flat, flat.sum(0)


def layer_in_a_loop(x, w, g):
    to_x, to_w, to_b = np.zeros_like(x), np.zeros_like(w), np.zeros(w.shape[1])
    for text in range(len(x)):
        to_x[text] = g[text] @ w.T
        to_w += x[text].T @ g[text]
        for row in g[text]:
            to_b += row
    return to_x, to_w, to_b


def layer_torch(x, w, g):
    x, w, g = (torch.from_numpy(array).float() for array in (x, w, g))
    return torch.matmul(g, w.t()), torch.tensordot(x, g, dims=([0, 1], [0, 1])), g.flatten(0, 1).sum(0)


def softmax_rule_by_jacobian(p, g):
    jacobian = p[..., :, None] * (np.eye(p.shape[-1]) - p[..., None, :])
    return np.einsum("...i,...ij->...j", g, jacobian)


def softmax_rule_in_loops(p, g):
    out = np.zeros_like(p)
    for place in np.ndindex(p.shape[:-1]):
        for j in range(p.shape[-1]):
            for i in range(p.shape[-1]):
                out[place][j] += g[place][i] * p[place][i] * ((i == j) - p[place][j])
    return out


def softmax_rule_torch(p, g):
    p, g = torch.from_numpy(p), torch.from_numpy(g)
    return p.mul(g) - p * torch.linalg.vecdot(p, g).unsqueeze(-1)


def softmax_rule_multiplied_out(p, g):
    return (p * g - p * np.sum(p * g, axis=-1)[..., None]).astype(np.float32)


RIGHT = {
    "4.1": [slopes_by_nudging, slopes_torch, slopes_with_cosh],
    "4.2b": [walk_every_path, walk_paths_on_a_stack, walk_when_all_have_spoken, walk_by_depth],
    "4.3": [learn_zeroing_last, learn_keeping_the_losses],
    "4.4": [unbroadcast_at_once, unbroadcast_in_a_loop, unbroadcast_while, unbroadcast_torch],
    "4.4b": [layer_einsum, layer_flat, layer_in_a_loop, layer_torch],
    "4.9": [softmax_rule_by_jacobian, softmax_rule_in_loops, softmax_rule_torch, softmax_rule_multiplied_out],
}
