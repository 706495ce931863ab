"""Small runs of entrenar-train with a fault at one call (tests/preload/fault.c), for kill_points.py and disk_errors.py.

A run's state is the bytes of all files it leaves, without times and with its folder's name replaced."""
import collections
import concurrent.futures
import hashlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys

WORKERS = int(os.environ.get("ENT_FAULT_WORKERS", "2"))
SHOWN = int(os.environ.get("ENT_FAULT_SHOWN", "20"))
EVERY, KEEP = 2, 2  # checkpoint.every and keep of fault_job.sh
Call = collections.namedtuple("Call", "number name path bytes")
Ended = collections.namedtuple("Ended", "code out err")
TIMES = re.compile(rb', "tokens_per_s": [^,]*, "seconds": [^}]*')


def is_temporary(path):
    return ".tmp-" in path


class Job:
    """One config; `folder` holds it and gets the runs' folders, one a worker, with names of one length."""

    def __init__(self, program, fault, folder, metadata):
        self.program, self.folder, self.metadata = os.path.abspath(program), folder, metadata
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        asan = re.findall(r"libasan\S* => (\S+)", libraries)
        self.sanitized = bool(asan)
        self.preload = ":".join(asan + [os.path.abspath(fault)])  # the address sanitizer must come first
        self.slots = queue.Queue()
        for i in range(WORKERS):
            self.slots.put(os.path.join(folder, "%s-%02d" % (metadata, i)))

    def start(self, run, *options, how=None, at=0, log=None):
        """Runs to the end, or to the fault."""
        env = dict(os.environ)
        if how or log:
            env.update(LD_PRELOAD=self.preload, ENT_FAULT_DIR=run, ENT_FAULT_AT=str(at))
            env.update({"ENT_FAULT_HOW": how} if how else {})
            env.update({"ENT_FAULT_LOG": log} if log else {})
        done = subprocess.run(
            [self.program, os.path.join(self.folder, "config.yaml"), "--set", "training.output_dir=" + run,
             "--set", "checkpoint.metadata=" + self.metadata, *options],
            env=env, cwd=self.folder, capture_output=True, timeout=300)
        return Ended(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def calm(self):
        """The undisturbed run: its state and its calls."""
        run, log = os.path.join(self.folder, "%s-no" % self.metadata), os.path.join(self.folder, "calls")
        ended = self.start(run, log=log)
        if ended.code != 0:
            sys.exit("FAIL  the undisturbed run: exit %d: %s" % (ended.code, ended.err))
        left = sorted(step for step, ending in map(step_of, state(run)) if ending == "h5")
        if left != [4, 6]:
            sys.exit("FAIL  the undisturbed run leaves checkpoints %s" % left)
        with open(log, encoding="utf-8") as lines:
            calls = [Call(int(n), name, path, int(size)) for n, name, path, size in (l.split() for l in lines)]
        return state(run), calls

    def over(self, points, check):
        """check(run, *point) for all points, several at once; prints what it returns, and returns how many did."""
        def one(point):
            run = self.slots.get()
            try:
                clean(run)
                return check(run, *point)
            finally:
                self.slots.put(run)
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            failures = [f for f in pool.map(one, points) if f]
        for f in failures[:SHOWN]:
            print("FAIL  " + f)
        if len(failures) > SHOWN:
            print("FAIL  and %d more" % (len(failures) - SHOWN))
        return len(failures)


def clean(run):
    for end in "", ".gone", ".spare":
        shutil.rmtree(run + end, ignore_errors=True)


def state(run, name=None):
    """{path below the run's folder: bytes}; `name` is the folder's name as the run knew it."""
    found = {}
    for folder, folders, files in os.walk(run):
        for f in files:
            path = os.path.join(folder, f)
            with open(path, "rb") as file:
                data = file.read()
            if f == "metrics.jsonl":
                data = TIMES.sub(b"", data)
            if not f.endswith((".h5", ".safetensors", ".bin")):
                data = data.replace((name or run).encode(), b"RUN")
            if f.startswith("step-"):  # it vouches for itself, with the folder's name
                data = re.sub(rb'(?m)^(  "sha256"|sha256): .*$', b"", data)
            found[os.path.relpath(path, run)] = data
        for f in folders:
            found[os.path.relpath(os.path.join(folder, f), run) + "/"] = b""
    return found


def difference(calm, found):
    """One text: how what was found differs from the undisturbed run; "" if it doesn't."""
    wrong = ["%s is left" % n for n in sorted(found) if n not in calm]
    wrong += ["%s is missing" % n for n in sorted(calm) if n not in found]
    wrong += ["%s differs" % n for n in sorted(calm) if n in found and found[n] != calm[n]]
    return ", ".join(wrong)


def place(calls, k):
    """Where a fault was, for people."""
    c = calls[k - 1]
    return "call %d of %d, %s %s" % (k, len(calls), c.name, re.sub(r"\.tmp-\w{16}", ".tmp", c.path))


def step_of(path):
    """(step, ending) of a file of a checkpoint, else (0, "")."""
    found = re.fullmatch(r"checkpoints/step-(\d+)\.(h5|json|yaml)", path)
    return (int(found[1]), found[2]) if found else (0, "")


def whole_checkpoint(calls, made, promised=False):
    """The step of the newest checkpoint that is whole after the first `made` calls; 0: none. promised: only if the run
    has gone on since, and a machine that loses its power must not lose it any more."""
    step = renamed = 0
    for c in calls[:made]:
        of, ending = step_of(c.path)
        if c.name == "rename" and ending not in ("", "h5"):
            renamed = of
        older = c.name == "unlink" and of not in (0, renamed)
        if not promised or older or not c.path.startswith("checkpoints"):
            step = renamed
    return step


def half_done(calm, run, completed):
    """What a reader of the run's folder would stumble on; "" if nothing. completed: the newest step whose checkpoint
    must be there."""
    found = state(run)
    pairs = []
    for path, data in found.items():
        same = calm.get(path)
        if path in ("config.yaml", "adapter/adapter_config.json", "adapter-best/adapter_config.json") and data != same:
            return "%s is not what was written" % path
        if path.endswith("adapter_model.safetensors") and not is_temporary(path):
            head = same and 8 + int.from_bytes(same[:8], "little")
            if not same or len(data) != len(same) or data[:head] != same[:head]:
                return "%s is not whole" % path
        step, ending = step_of(path)
        if ending in ("json", "yaml"):
            digest = hashlib.sha256(found.get("checkpoints/step-%08d.h5" % step, b"")).hexdigest()
            if digest.encode() not in data:
                return "%s is not of its numbers" % path
            pairs.append(step)
    latest = found.get("checkpoints/latest")
    if latest is not None and latest not in [b"step-%08d\n" % step for step in pairs]:
        return "latest is %r, there are %s" % (latest, sorted(pairs))
    must = [step for step in range(EVERY, completed + 1, EVERY)][-KEEP:]
    if not set(must) <= set(pairs):
        return "there are checkpoints %s, expected %s" % (sorted(pairs), must)
    return ""


def resumed_from(ended):
    found = re.search(r"from step (\d+)", ended.out)
    return int(found[1]) if found else 0


def killed(ended):
    return ended.code == -signal.SIGKILL
