#!/usr/bin/python3
"""Rows of numbers in ggml's block formats, written by llama.cpp's own library, for tests/test_quant_blocks.c.

Needs libggml-base.so of a llama.cpp built without options for one CPU; npm's prebuilt one (`npm install --ignore-scripts
@node-llama-cpp/linux-x64`) is such. The result is kept in the repository.

usage: quant_blocks.py LIBGGML_BASE OUT_DIR
"""
import ctypes, random, struct, sys

FORMATS = [("F16", 1, 2, "ggml_fp16_to_fp32_row"), ("Q4_0", 2, 18 / 32, "dequantize_row_q4_0"),
           ("Q4_1", 3, 20 / 32, "dequantize_row_q4_1"), ("Q5_0", 6, 22 / 32, "dequantize_row_q5_0"),
           ("Q8_0", 8, 34 / 32, "dequantize_row_q8_0"), ("BF16", 30, 2, "ggml_bf16_to_fp32_row")]


def blocks():
    """Blocks of 32 numbers: usual ones, and those where roundings and conventions show."""
    r = random.Random(20240601)
    for sigma in (0.02, 0.02, 1.0, 300.0):
        for _ in range(4):
            yield [r.gauss(0, sigma) for _ in range(32)]
    yield [0.0] * 32
    yield [-0.0] * 32
    yield [0.25] * 32
    yield [-0.25] * 32
    yield [0.0] * 31 + [1e-3]
    for most in (8, -8, 16, -16, 127, -127, 15):  # scales of 1: halves are ties
        yield [most] + [r.randrange(-2 * abs(most), 2 * abs(most)) * 0.5 for _ in range(31)]
    yield [0, 15] + [r.randrange(30) * 0.5 for _ in range(30)]
    for signs in ((1, -1), (-1, 1)):  # largest size twice, with either sign first
        yield [r.uniform(-0.5, 0.5) for _ in range(7)] + [signs[0]] + [0.1] * 9 + [signs[1]] + [-0.3] * 14
    for scale in (1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -24 * 1.5, 2 ** -25, 2 ** -15 * (1 + 2 ** -10)):  # ties of f16
        for most in (-8, -16, 127):
            yield [most * scale] + [r.uniform(-abs(most), abs(most)) * scale for _ in range(31)]
    yield [m * 2 ** -24 for m in (0.5, 1.5, 2.5, 0.25, 0.75, 1023.5, 1022.5, 1024.5)] * 4
    for power in (-110, -124, -126, -133, -148):  # small, subnormal
        yield [r.uniform(-1, 1) * 2.0 ** power for _ in range(32)]
    yield [r.uniform(-65000, 65000) for _ in range(32)]
    yield [r.uniform(-1e-3, 1e-3) for _ in range(20)] + [64000.0] + [0.0] * 11
    yield [r.uniform(-1, 1) * 2.0 ** r.uniform(-40, 15) for _ in range(32)]


library = ctypes.CDLL(sys.argv[1])
library.ggml_quantize_chunk.restype = ctypes.c_size_t
library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                        ctypes.c_int64, ctypes.c_void_p]
numbers = [x for block in blocks() for x in block]
n = len(numbers)
row = (ctypes.c_float * n)(*numbers)
open(f"{sys.argv[2]}/numbers.f32", "wb").write(bytes(row))
for name, number, size, dequantize in FORMATS:
    out, back = (ctypes.c_uint8 * int(n * size))(), (ctypes.c_float * n)()
    assert library.ggml_quantize_chunk(number, row, out, 0, 1, n, None) == len(out)
    getattr(library, dequantize)(out, back, ctypes.c_int64(n))
    open(f"{sys.argv[2]}/{name}.bytes", "wb").write(bytes(out))
    open(f"{sys.argv[2]}/{name}.f32", "wb").write(bytes(back))
print(n, "numbers")
