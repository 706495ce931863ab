"""Whether a trace of ours and the output of strace -f tell of the same calls: for each thread, in the order in which
they began, the same calls in the same order with the same results. usage: strace_agrees.py TRACE.json STRACE"""
import json
import re
import sys

# Results that differ from run to run: addresses, process ids; and of waiting, the kernel's timing.
VARIES = {"mmap", "brk", "mremap", "clone", "clone3", "fork", "vfork", "getpid", "gettid", "getppid", "set_tid_address",
          "wait4"}


def ours(path):
    threads = {}
    for call in json.load(open(path))["syscalls"]:
        result = call["error"] if "error" in call else call["result"]
        threads.setdefault(call["tid"], []).append((call["name"], str(result)))
    return list(threads.values())


def theirs(path):
    threads, open_calls = {}, {}
    for line in open(path, errors="replace"):
        match = re.match(r"(\d+) +(.*)", line)
        if not match:
            continue
        tid, text = match.groups()
        threads.setdefault(tid, [])
        begun = re.match(r"(\w+)\(", text)
        if text.startswith(("---", "+++", "exit(", "exit_group(")):
            continue
        resumed = re.match(r"<\.\.\. (\w+) resumed>", text)
        if not begun and not resumed:
            continue
        found = re.search(r"\) += (.*)$", text)
        result = "None"
        if found:
            value = found.group(1)
            error = re.match(r"(?:-1|\?) (E\w+)", value)
            number = re.match(r"(0x[0-9a-f]+|-?\d+)", value)
            result = error.group(1) if error else str(int(number.group(1), 0)) if number else "None"
        if resumed:
            if resumed.group(1) in ("exit", "exit_group"):
                continue
            if resumed.group(1) == "execve" and tid not in open_calls:  # asked by another thread, which is this now
                tid = next(t for t, (calls, i) in open_calls.items() if calls[i][0] == "execve")
            calls, i = open_calls.pop(tid)
            calls[i] = (calls[i][0], result)
        else:
            threads[tid].append((begun.group(1), result))
            if "<unfinished ...>" in text:
                open_calls[tid] = (threads[tid], len(threads[tid]) - 1)
    return [calls for calls in threads.values() if calls]


def tidy(calls):
    return [(name, "*" if name in VARIES else result) for name, result in calls]


# Waiting for a lock may or may not take a call; between which calls a signal arrives, or within which a thread is killed,
# is chance.
def key(calls):
    chance = ("futex", "restart_syscall", "rt_sigreturn", "madvise")
    return [(name, result) for name, result in calls if name not in chance and result != "None"]


a = [key(tidy(calls)) for calls in ours(sys.argv[1])]
b = [key(tidy(calls)) for calls in theirs(sys.argv[2])]
if sorted(a) != sorted(b):
    for i, (x, y) in enumerate(zip(a, b)):
        for j, (p, q) in enumerate(zip(x, y)):
            if p != q:
                sys.exit(f"thread {i}, call {j}: ours {p}, strace {q}")
        if len(x) != len(y):
            sys.exit(f"thread {i}: ours has {len(x)} calls, strace {len(y)}: {x[len(y):][:3]} {y[len(x):][:3]}")
    sys.exit(f"ours has {len(a)} threads, strace {len(b)}")
print(f"{sum(map(len, a))} calls of {len(a)} threads agree")
