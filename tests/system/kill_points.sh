#!/bin/bash
# A run that is killed at any call that changes its folder, or whose machine loses its power there, ends with the bits of
# an undisturbed one when it is resumed, from the newest checkpoint that was whole; and leaves nothing else behind.
# usage: kill_points.sh BIN SOURCE FAULT_LIBRARY    with --thorough: every kind of kill at every call
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || export TMPDIR=/dev/shm # a sync costs nothing there
. "$(dirname "$0")/lib.sh" "$@"
FAULT=$3; scope=some; thorough && scope=all
. "$(dirname "$0")/fault_job.sh"
every=1; sanitized && ! thorough && every=28
[ $every = 1 ] || echo "note  under the address sanitizer at every ${every}th call, at others with YAML than with JSON; at all in the release build"
for metadata in json yaml; do
  if python3 "$SOURCE/tests/system/kill_points.py" "$BIN/entrenar-train" "$FAULT" "$WORK/job" $metadata $every "$scope"
  then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
finish
