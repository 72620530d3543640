#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Train the digits classifier and write data/digits.model and data/digits.test.

A multi-layer perceptron on the UCI handwritten digits that scikit-learn ships
(Debian: python3-sklearn). The split is fixed: the first 1,000 images train,
the last 797 are held out; the file is ordered by writer, so the held-out
digits come from people that the network never saw. Run it only to make new
weights; the ones that the project uses are committed.

File layout (little-endian), checked by the loader in digits_file.c:
  model: "X1DM", u32 version, u32 layers, u32 crc32 of what follows;
         per layer u32 inputs, u32 outputs;
         then per layer FP32 weights [outputs][inputs], FP32 bias [outputs]
  test:  "X1DT", u32 version, u32 images, u32 crc32 of what follows;
         per image 64 bytes of pixels 0..16, then u8 label per image
"""
import os
import struct
import zlib

import numpy as np
from sklearn.datasets import load_digits

TRAIN = 1000
WIDTHS = [64, 512, 512, 256, 10]
EPOCHS = 240
BATCH = 50
SEED = 5831


def shifted(images, rng):
    """Move each image by up to one pixel and scale its ink a little."""
    out = np.zeros_like(images)
    for i, image in enumerate(images):
        dy, dx = rng.integers(-1, 2, size=2)
        src = image[max(0, -dy):8 - max(0, dy), max(0, -dx):8 - max(0, dx)]
        out[i, max(0, dy):8 + min(0, dy), max(0, dx):8 + min(0, dx)] = src
    gain = rng.uniform(0.8, 1.2, size=(len(images), 1, 1)).astype(np.float32)
    return np.clip(out * gain, 0, 1)


def forward(params, x):
    """Activations of every layer; the last one are logits."""
    acts = [x]
    for i, (w, b) in enumerate(params):
        x = x @ w.T + b
        if i + 1 < len(params):
            x = np.maximum(x, 0)
        acts.append(x)
    return acts


def gradients(params, x, label):
    """Cross-entropy with a little label smoothing."""
    acts = forward(params, x)
    logits = acts[-1] - acts[-1].max(axis=1, keepdims=True)
    prob = np.exp(logits)
    prob /= prob.sum(axis=1, keepdims=True)
    target = np.full_like(prob, 0.05 / prob.shape[1])
    target[np.arange(len(label)), label] += 0.95
    delta = (prob - target) / len(label)
    grads = []
    for i in reversed(range(len(params))):
        grads.append((delta.T @ acts[i], delta.sum(axis=0)))
        if i:
            delta = (delta @ params[i][0]) * (acts[i] > 0)
    return grads[::-1]


def train(images, labels, rng):
    """Adam with weight decay and a cosine learning rate."""
    params = []
    for n_in, n_out in zip(WIDTHS, WIDTHS[1:]):
        w = rng.normal(0, np.sqrt(2 / n_in), size=(n_out, n_in))
        params.append([w.astype(np.float32), np.zeros(n_out, np.float32)])
    state = [[np.zeros_like(p) for p in layer for _ in range(2)] for layer in params]
    step = 0
    for epoch in range(EPOCHS):
        rate = 1e-3 * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS)) + 1e-6
        order = rng.permutation(len(images))
        for at in range(0, len(order), BATCH):
            pick = order[at:at + BATCH]
            x = shifted(images[pick], rng).reshape(len(pick), 64)
            step += 1
            for layer, st, grad in zip(params, state, gradients(params, x, labels[pick])):
                for i, g in enumerate(grad):
                    mean, var = st[2 * i], st[2 * i + 1]
                    mean += 0.1 * (g - mean)
                    var += 0.001 * (g * g - var)
                    update = (mean / (1 - 0.9 ** step)) / (
                        np.sqrt(var / (1 - 0.999 ** step)) + 1e-8)
                    if i == 0:
                        update = update + 0.02 * layer[i]
                    layer[i] -= (rate * update).astype(np.float32)
    return params


def write(path, magic, count, body):
    with open(path, "wb") as f:
        f.write(magic + struct.pack("<III", 1, count, zlib.crc32(body)) + body)


def main():
    rng = np.random.default_rng(SEED)
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    labels = digits.target
    params = train(images[:TRAIN], labels[:TRAIN], rng)
    logits = forward(params, images[TRAIN:].reshape(-1, 64))[-1]
    right = (logits.argmax(axis=1) == labels[TRAIN:]).sum()
    print(f"held-out: {right} of {len(labels) - TRAIN} right")

    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
    os.makedirs(here, exist_ok=True)
    body = b"".join(struct.pack("<II", w.shape[1], w.shape[0]) for w, _ in params)
    body += b"".join(w.astype("<f4").tobytes() + b.astype("<f4").tobytes() for w, b in params)
    write(os.path.join(here, "digits.model"), b"X1DM", len(params), body)
    body = digits.images[TRAIN:].astype(np.uint8).tobytes() + labels[TRAIN:].astype(np.uint8).tobytes()
    write(os.path.join(here, "digits.test"), b"X1DT", len(labels) - TRAIN, body)


if __name__ == "__main__":
    main()
