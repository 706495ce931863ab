"""See disk_errors.sh. usage: disk_errors.py PROGRAM FAULT_LIBRARY FOLDER METADATA EVERY"""
import errno
import os
import shutil
import sys
import time

import fault_runs
from fault_runs import difference, half_done, place, resumed_from, state, whole_checkpoint

REMOVES = ("unlink", "rmdir")
WARNING = "entrenar: an old checkpoint stays: "


def wrong_message(ended, run, cause):
    """A failure is told in one line that names a file of the run and the cause."""
    lines = [l for l in ended.err.splitlines() if l.startswith("entrenar: ") and not l.startswith(WARNING)]
    if len(lines) != 1:
        return "%d messages instead of one: %r" % (len(lines), ended.err)
    return "" if run in lines[0] and cause in lines[0] else "the message is %r" % lines[0]


def main():
    program, fault, folder, metadata, every = sys.argv[1:]
    job = fault_runs.Job(program, fault, folder, metadata)
    began = time.monotonic()
    calm, calls = job.calm()
    n, every = len(calls), int(every)
    begun = next(c.number for c in calls if c.name == "write" and c.path == "metrics.jsonl") - 1
    codes = {}

    def check_error(run, how, k):
        where = "%s at %s" % (how, place(calls, k))
        cause = os.strerror(getattr(errno, how.split("-")[0]))
        ended = job.start(run, how=how, at=k)
        codes[ended.code] = codes.get(ended.code, 0) + 1
        if ended.code not in (0, 1 if k > begun else 2):
            return "%s: exit %d: %s" % (where, ended.code, ended.err.strip())
        wrong = wrong_message(ended, run, cause) if ended.code else ""
        if ended.code == 0:
            missing = {name: data for name, data in state(run).items() if name in calm}
            wrong = difference(calm, missing)  # what could not be removed may be left
            # the lock's name counts for nothing: the kernel's lock ends with the process
            if calls[k - 1].name in REMOVES and calls[k - 1].path != "lock" and os.path.exists(os.path.join(run, calls[k - 1].path)):
                told = any(run in l and cause in l for l in ended.err.splitlines())
                wrong = wrong or ("" if told else "nothing tells what could not be removed: %r" % ended.err)
        if wrong:
            return "%s: exit %d: %s" % (where, ended.code, wrong)
        step = whole_checkpoint(calls, k - 1)
        wrong = half_done(calm, run, step if ended.code else 6)
        if wrong:
            return "%s: exit %d: %s" % (where, ended.code, wrong)
        again = job.start(run) if ended.code == 2 else None  # nothing was begun: the same command begins it
        ended = job.start(run, "--resume") if again is None or "--resume goes on with it" in again.err else again
        if ended.code != 0:
            return "%s: the resume fails: exit %d: %s" % (where, ended.code, ended.err.strip())
        if resumed_from(ended) < step:
            return "%s: resumed from step %d, not from %d" % (where, resumed_from(ended), step)
        wrong = difference(calm, state(run))
        return wrong and "%s: after the resume %s" % (where, wrong)

    def check_short(run, k):
        ended = job.start(run, how="short", at=k)
        if ended.code != 0:
            return "short writes from call %d on: exit %d: %s" % (k, ended.code, ended.err.strip())
        wrong = difference(calm, state(run))
        return wrong and "short writes from call %d on: %s" % (k, wrong)

    def check_vanish(run, k):
        where = "the folder vanishes at %s" % place(calls, k)
        ended = job.start(run, how="vanish", at=k)
        gone = run + ".gone"
        if not os.path.exists(gone):  # the folder was not there yet
            return "" if ended.code == 0 and k == 1 else "%s: it did not: %s" % (where, ended.err)
        made = sorted(os.listdir(run)) if os.path.exists(run) else []
        # An adapter's folder is made with those above it: the run looks before, and once more after.
        if os.path.exists(run) and (made not in (["adapter"], ["adapter-best"]) or ended.code != 1):
            return "%s: it is made again, with %s, exit %d" % (where, made, ended.code)
        shutil.rmtree(run, ignore_errors=True)
        if ended.code == 0:
            wrong = difference(calm, {p: d for p, d in state(gone, run).items() if p != "lock"})
            return wrong and "%s: exit 0, but %s" % (where, wrong)
        if ended.code != (1 if k > begun else 2):
            return "%s: exit %d: %s" % (where, ended.code, ended.err.strip())
        wrong = wrong_message(ended, run, "")
        os.rename(gone, run)
        ended = job.start(run, "--resume")
        wrong = wrong or ("" if ended.code == 0 else "the resume fails: " + ended.err) or difference(calm, state(run))
        return wrong and "%s: %s" % (where, wrong)

    def report(what, points, check):
        nonlocal began
        failed = job.over(points, check)
        found = ", " + ", ".join("%d ended with %d" % (codes[c], c) for c in sorted(codes)) if codes else ""
        print("%-5s %s metadata, %s: %d points of a run of %d calls%s, %d failed, %.0f s" %
              ("FAIL" if failed else "ok", metadata, what, len(points), n, found, failed, time.monotonic() - began))
        began = time.monotonic()
        codes.clear()
        return failed > 0

    bad = 0
    for i, how in enumerate(("ENOSPC", "EIO", "ENOSPC-on", "EIO-on")):
        points = [(how, k) for k in range(1 + i % every, n + 1, every)
                  if how == "EIO" or calls[k - 1].name not in REMOVES]
        bad += report(how, points, check_error)
    bad += report("short writes", [(k,) for k in (1, 2, n // 2)], check_short)
    bad += report("the folder vanishes", [(k,) for k in range(1, n + 1, every)], check_vanish)
    return bad > 0


sys.exit(main())
