"""What PyTorch's observers and numpy's percentiles make of some numbers: writes tests/data/quant/ptq.json.

usage: ptq_observers.py OUT (with torch 1.13, numpy)
"""
import json
import sys

import numpy
import torch
from torch.ao.quantization import observer as o

ROWS, COLUMNS, GROUP = 6, 24, 8
rng = numpy.random.default_rng(7)
w = rng.standard_normal((ROWS, COLUMNS)).astype(numpy.float32)
w[1] = abs(w[1])  # all of one sign
w[2] = -abs(w[2]) - 3
w[3, 5] = 40  # an outlier
w[4] *= 1e-4
batches = (rng.standard_normal((9, 32)) * numpy.linspace(1, 4, 9)[:, None] + 0.7).astype(numpy.float32)


def limits(symmetric):
    return dict(dtype=torch.qint8, quant_min=-127 if symmetric else -128, quant_max=127)


def recorded(x, observer, axis=None):
    observer(x)
    scale, zero = observer.calculate_qparams()
    q = (torch.quantize_per_tensor(x, scale.item(), zero.item(), torch.qint8) if axis is None else
         torch.quantize_per_channel(x, scale, zero, 0, torch.qint8)).int_repr()
    if observer.quant_min == -127:
        q = q.clamp(-127, 127)
    return {"scale": scale.reshape(-1).tolist(), "zero": zero.reshape(-1).tolist(), "q": q.reshape(-1).tolist()}


def weights(symmetric):
    kind = "symmetric" if symmetric else "affine"
    x = torch.from_numpy(w)
    eps = dict(eps=2.0**-100)  # rows of small numbers keep their scale
    channel = getattr(torch, f"per_channel_{kind}")
    return {
        "tensor": recorded(x, o.MinMaxObserver(qscheme=getattr(torch, f"per_tensor_{kind}"), **limits(symmetric), **eps)),
        "channel": recorded(x, o.PerChannelMinMaxObserver(ch_axis=0, qscheme=channel, **limits(symmetric), **eps), 0),
        "group": recorded(x.reshape(-1, GROUP),
                          o.PerChannelMinMaxObserver(ch_axis=0, qscheme=channel, **limits(symmetric), **eps), 0),
    }


def average(averaging):
    observer = o.MovingAverageMinMaxObserver(averaging_constant=averaging, qscheme=torch.per_tensor_affine,
                                             **limits(False))
    ranges = []
    for batch in batches:
        observer(torch.from_numpy(batch))
        ranges.append([observer.min_val.item(), observer.max_val.item()])
    scale, zero = observer.calculate_qparams()
    return {"averaging": averaging, "ranges": ranges, "scale": scale.item(), "zero": zero.item()}


def rounded(scale, zero, low):
    """What products get of x: fake_quantize of a static activation."""
    y = torch.fake_quantize_per_tensor_affine(torch.from_numpy(w), scale, zero, low, 127)
    return {"scale": scale, "zero": zero, "low": low, "x": y.reshape(-1).tolist()}


percentiles = [0, 0.1, 1, 12.5, 25, 50, 63.3, 90, 99, 99.9, 100]
exact = w.astype(numpy.float64)
json.dump({
    "columns": COLUMNS, "group": GROUP, "w": w.reshape(-1).tolist(), "batches": batches.tolist(),
    "symmetric": weights(True), "asymmetric": weights(False), "averages": [average(0.01), average(0.3)],
    "rounded": [rounded(0.03125, 0, -127), rounded(0.046875, -41, -128)],
    "percentiles": percentiles, "of_all": numpy.percentile(exact, percentiles).tolist(),
    "of_sizes": numpy.percentile(abs(exact), percentiles).tolist(),
    "of_first_row": numpy.percentile(exact[0], percentiles).tolist(),
}, open(sys.argv[1], "w"), indent=None)
