"""Damages one file of a finished run at places sampled over its whole length, and resumes the run each time.

usage: damage.py RUN FILE FLIPS CUTS SEED REPORT|ANY -- COMMAND...
RUN/FILE is the newest checkpoint's; COMMAND resumes ./hurt, a copy of RUN. It must end well, with the files of RUN; and, if
REPORT, say that the checkpoint was passed over. With ANY a byte may be without meaning: then nothing is said.
"""
import pathlib
import random
import shutil
import subprocess
import sys

PATTERNS = [("bit 0 flipped", lambda b: b ^ 0x01), ("bit 7 flipped", lambda b: b ^ 0x80), ("inverted", lambda b: b ^ 0xFF),
            ("zeroed", lambda b: 0), ("set", lambda b: 0xFF), ("bit 4 flipped", lambda b: b ^ 0x10)]
# Text stays text for the most part: so that it means something else
TEXT_PATTERNS = PATTERNS[:1] + [("bit 1 flipped", lambda b: b ^ 0x02), ("bit 2 flipped", lambda b: b ^ 0x04),
                                ("bit 5 flipped", lambda b: b ^ 0x20), ("a quote", lambda b: 0x22)] + PATTERNS[1:2]


def untimed(path):
    return [line.split(b', "tokens_per_s"')[0] for line in path.read_bytes().splitlines()]


def differences(run, hurt, file):
    """What of the results is not as it was."""
    out = []
    for path in sorted(run.rglob("*.h5")) + sorted(run.glob("adapter*/*")):
        other = hurt / path.relative_to(run)
        if not other.is_file() or other.read_bytes() != path.read_bytes():
            out.append(str(path.relative_to(run)))
    if untimed(run / "metrics.jsonl") != untimed(hurt / "metrics.jsonl"):
        out.append("metrics.jsonl")
    return out


def trial(run, file, content, must_report, command):
    """What is wrong with how the command takes the content; and whether it passed the checkpoint over."""
    hurt = pathlib.Path("hurt")
    shutil.rmtree(hurt, ignore_errors=True)
    shutil.copytree(run, hurt)
    (hurt / file).write_bytes(content)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300)
    text = done.stderr.decode("utf-8", "backslashreplace")
    step = pathlib.Path(file).stem
    passed = any("passed over" in line and step in line for line in text.splitlines())
    wrong = []
    if done.returncode != 0:
        wrong.append(f"exit code {done.returncode}")
    if must_report and not passed:
        wrong.append("not named")
    if not passed and text:
        wrong.append("another message")
    if any(ord(c) < 32 and c != "\n" for c in text):
        wrong.append("control characters in the message")
    wrong += [f"{name} differs" for name in differences(run, hurt, file)]
    return f"{', '.join(wrong)}: {text[:300]!r}" if wrong else None, passed


def main():
    run, file = pathlib.Path(sys.argv[1]), sys.argv[2]
    flips, cuts, seed = map(int, sys.argv[3:6])
    must_report, command = sys.argv[6] == "REPORT", sys.argv[8:]
    whole = (run / file).read_bytes()
    draw = random.Random(seed)
    trials = []
    patterns = PATTERNS if must_report else TEXT_PATTERNS
    head = 0 if must_report else whole.index(b"datasets") # most of the metadata are the digests behind it
    for i in range(flips):
        size = head if head and i % 2 else len(whole)
        at = (i * size + draw.randrange(size)) // flips
        name, change = draw.choice(patterns)
        content = whole[:at] + bytes([change(whole[at])]) + whole[at + 1:]
        if content == whole:
            name, content = "bit 0 flipped", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]
        trials.append((f"byte {at} {name}", content, must_report))
    for i in range(cuts):
        at = len(whole) - 1 if i == 0 else (i * len(whole) + draw.randrange(len(whole))) // cuts
        trials.append((f"cut at {at}", whole[:at], must_report))
    failed = passed_over = 0
    for name, content, must in trials:
        wrong, passed = trial(run, file, content, must, command)
        passed_over += passed
        if wrong:
            failed += 1
            print(f"{file}: {name}: {wrong}")
    print(f"{file} of {len(whole)} bytes: {flips} bytes changed, {cuts} cuts: passed over {passed_over} times, {failed} failed")
    return failed > 0


sys.exit(main())
