"""Damages a file at places sampled over its whole length and looks whether `entrenar verify` finds and names it.

usage: verify.py ENTRENAR FOLDER FILE TARGET FLIPS CUTS SEED MODE
FOLDER/FILE is damaged, in a copy ./hurt; verify gets hurt/TARGET. MODE: found: it must say something; file: name the file; tensor: a byte of a tensor's
data must bring its name as well; any: a byte may be without meaning, or a number another number; then nothing is said.
"""
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys

PATTERNS = [lambda b: b ^ 0x01, lambda b: b ^ 0x80, lambda b: b ^ 0xFF, lambda b: 0, lambda b: 0xFF, lambda b: b ^ 0x10]


def safetensors_places(content):
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + size])
    return [(8 + size + t["data_offsets"][0], 8 + size + t["data_offsets"][1], name) for name, t in header.items()
            if name != "__metadata__"]


def checkpoint_places(path, content):
    """Where each dataset's bytes stand: as h5dump tells them, looked for in the file (one chunk each)."""
    listed = subprocess.run(["h5ls", "-r", path], check=True, capture_output=True, text=True).stdout
    places = []
    for name in [line.split()[0] for line in listed.splitlines() if "Dataset" in line]:
        subprocess.run(["h5dump", "-d", name, "-b", "LE", "-o", "dump.bin", path], check=True, stdout=subprocess.DEVNULL)
        data = pathlib.Path("dump.bin").read_bytes()
        if content.count(data) == 1:
            at = content.index(data)
            places.append((at, at + len(data), name))
    return places


def trial(entrenar, folder, file, target, content, expected):
    """What is wrong with what verify says; expected: None: anything goes, else the texts it must hold."""
    shutil.rmtree("hurt", ignore_errors=True)
    shutil.copytree(folder, "hurt")
    (pathlib.Path("hurt") / file).write_bytes(content)
    done = subprocess.run([entrenar, "verify", str(pathlib.Path("hurt") / target)], capture_output=True, timeout=120)
    text = done.stderr.decode("utf-8", "backslashreplace")
    wrong = []
    if done.returncode not in (0, 1) or (done.returncode == 1) != bool(text):
        wrong.append(f"exit code {done.returncode}")
    if expected is not None and done.returncode != 1:
        wrong.append("not found")
    wrong += [f"{part} is not named" for part in expected or [] if part not in text]
    if any(ord(c) < 32 and c != "\n" for c in text) or not all(line.startswith("entrenar: ") for line in text.splitlines()):
        wrong.append("another message")
    return f"{', '.join(wrong)}: {text[:400]!r}" if wrong else None, done.returncode == 1


def main():
    entrenar, folder, file, target = sys.argv[1:5]
    flips, cuts, seed = map(int, sys.argv[5:8])
    mode = sys.argv[8]
    whole = (pathlib.Path(folder) / file).read_bytes()
    draw = random.Random(seed)
    name = pathlib.Path(file).name
    stem = name.rsplit(".", 1)[0]  # metadata that is damaged may be found as missing from its numbers
    places = []
    if mode == "tensor":
        path = str(pathlib.Path(folder) / file)
        places = checkpoint_places(path, whole) if name.endswith(".h5") else safetensors_places(whole)
        assert len(places) > 10, "too few tensors were found"
    failed = found = named = 0
    for i in range(flips + cuts):
        if i < flips:
            at = (i * len(whole) + draw.randrange(len(whole))) // flips
            byte = draw.choice(PATTERNS)(whole[at])
            content = whole[:at] + bytes([byte if byte != whole[at] else byte ^ 1]) + whole[at + 1:]
            inside = [n for a, b, n in places if a <= at < b]
            what = f"byte {at}: {whole[at]} to {content[at]}"
        else:
            at = len(whole) - 2 if i == flips else draw.randrange(len(whole))
            content, inside, what = whole[:at], [], f"cut at {at}"
        named += len(inside)
        expected = None if mode == "any" else [] if mode == "found" else [stem] + inside
        wrong, seen = trial(entrenar, folder, file, target, content, expected)
        found += seen
        if wrong:
            failed += 1
            print(f"{file}: {what}: {wrong}")
    print(f"{file} of {len(whole)} bytes: {flips} bytes changed, {cuts} cuts: {found} found, {named} in named tensors, {failed} failed")
    return failed > 0


sys.exit(main())
