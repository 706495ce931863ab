"""See kill_points.sh. usage: kill_points.py PROGRAM FAULT_LIBRARY FOLDER METADATA EVERY all|some [WHAT]"""
import sys
import time

import fault_runs
from fault_runs import difference, half_done, killed, place, resumed_from, state, whole_checkpoint


def main():
    program, fault, folder, metadata, every, scope = sys.argv[1:7]
    what = "%s, " % sys.argv[7] if sys.argv[7:] else ""
    job = fault_runs.Job(program, fault, folder, metadata)
    began = time.monotonic()
    calm, calls = job.calm()
    n, every = len(calls), int(every)

    def check(run, how, k, again):
        where = "%s at %s" % (how, place(calls, k))
        ended = job.start(run, how=how, at=k)
        if not killed(ended):
            return "%s: exit %d instead of a kill: %s" % (where, ended.code, ended.err)
        made = k if how in ("kill-after", "kill-half") and not (how == "kill-half" and calls[k - 1].bytes < 2) else k - 1
        step = whole_checkpoint(calls, made, promised=how == "power")
        wrong = half_done(calm, run, step)
        if wrong:
            return "%s: %s" % (where, wrong)
        if again:
            second = job.start(run, "--resume", how=how, at=again)
            where += ", and %d calls later" % again
            if not killed(second) and second.code != 0:
                return "%s: exit %d: %s" % (where, second.code, second.err)
        ended = job.start(run, "--resume")
        if ended.code != 0:
            return "%s: the resume fails: exit %d: %s" % (where, ended.code, ended.err)
        if resumed_from(ended) < step or (resumed_from(ended) > step and not again and how != "power"):
            return "%s: resumed from step %d, not from %d" % (where, resumed_from(ended), step)
        wrong = difference(calm, state(run))
        return wrong and "%s: %s" % (where, wrong)

    first = range(1 if metadata == "json" else 1 + every // 2, n + 1, every)
    # Where what the run leaves takes its place, and what stood there goes, in every sample.
    places = [c.number for c in calls if c.name in ("rename", "unlink", "rmdir") and
              not c.path.startswith(("checkpoints/", "cache/")) and (c.name != "rename" or not fault_runs.is_temporary(c.path))]
    points = [("kill", k, 0) for k in sorted({*first, *places})]
    points += [("power", k, 0) for k in (first if scope == "all" else first[metadata == "yaml" and every == 1::2])]
    # Half a write is seen where files are written under their own name; in a temporary it is one more byte of many.
    points += [("kill-half", c.number, 0) for i, c in enumerate(c for c in calls if c.bytes > 1) if scope == "all" or
               (i % every == 0 and not fault_runs.is_temporary(c.path)) or i % (7 * every) == 0]
    points += [("kill-after", k, 0) for k in (first if scope == "all" else first[-1:])]
    twice = range(1, n + 1, every * (1 if scope == "all" else 9))
    points += [("kill", k, 1 + k * 7919 % (n - k // 2)) for k in twice]
    failed = job.over(points, check)
    kinds = ", ".join("%d %s" % (sum(p[0] == how and (p[2] > 0) == two for p in points), how + " twice" * two)
                      for how, two in (("kill", False), ("kill-half", False), ("kill-after", False), ("power", False),
                                       ("kill", True)))
    print("%-5s %s%s metadata: %d points (%s) of a run of %d calls, %d failed, %.0f s" %
          ("FAIL" if failed else "ok", what, metadata, len(points), kinds, n, failed, time.monotonic() - began))
    return failed > 0


sys.exit(main())
