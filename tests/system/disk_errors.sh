#!/bin/bash
# A disk that is full, or fails, at any call that changes the run's folder: the run ends with 1, or 2 if nothing was
# begun, and one line that names the file and the cause, or has lost nothing; what was saved before stays usable. Then the
# real things: a full file system, one that may not be written, a folder that goes away while the run works in it.
# usage: disk_errors.sh BIN SOURCE FAULT_LIBRARY    with --thorough: both notations of metadata, every error at every call
[ -n "${TMPDIR:-}" ] || ! [ -w /dev/shm ] || export TMPDIR=/dev/shm # a sync costs nothing there
. "$(dirname "$0")/lib.sh" "$@"
BIN=$(realpath "$BIN"); SOURCE=$(realpath "$SOURCE"); FAULT=$(realpath "$3")
. "$(dirname "$0")/fault_job.sh"
every=2; sanitized && every=28
thorough && every=1
echo "note  each kind of error at every ${every}th call"
for metadata in json yaml; do
  [ $metadata = json ] || thorough || continue
  if python3 "$SOURCE/tests/system/disk_errors.py" "$BIN/entrenar-train" "$FAULT" "$WORK/job" $metadata $every
  then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done

cd "$WORK/job" || exit 1
RUN=$WORK/out; mkdir -p "$WORK/out"
T=("$BIN/entrenar-train" config.yaml --quiet --set training.output_dir="$RUN")
check "undisturbed" "${T[@]}"; mv "$RUN" "$WORK/calm"
same() { for f in checkpoints/step-00000006.h5 checkpoints/latest config.yaml adapter/adapter_model.safetensors \
  adapter-best/adapter_model.safetensors; do cmp "$WORK/calm/$f" "$RUN/$f" || return; done; }
tells() { # what, words: the run of $code and $WORK/err told why it failed in one line with the words
  local expected=1; [ -n "${begun:-}" ] || expected=2
  if [ $code = $expected ] && [ "$(grep -c '^entrenar: ' "$WORK/err")" = 1 ] && grep '^entrenar: ' "$WORK/err" | grep -q -- "$2"
  then ok "$1: $(grep '^entrenar: ' "$WORK/err")"; else bad "$1: exit $code: $(head -c 600 "$WORK/err")"; fi
}

# A mount that only its own namespace sees. Containers may forbid it.
if unshare -rm true 2>/dev/null; then
  mkdir -p "$RUN"
  for size in 12k 40k 48k 60k 80k 100k; do
    unshare -rm bash -c '
      mount -t tmpfs -o size='$size' tmpfs "$0" && "$@" 2>"$0.err"; echo $? >"$0.code"; cat "$0"/metrics.jsonl >"$0.begun" 2>&-
      mount -o remount,size=20m "$0" && "$@" --resume >"$0.log" 2>&1 || echo "the resume fails" >>"$0.log"
      mkdir "$0.copy" && cp -r "$0/." "$0.copy"' "$RUN" "${T[@]}" >"$WORK/log" 2>&1
    code=$(cat "$RUN.code"); mv "$RUN.err" "$WORK/err"; begun=$(cat "$RUN.begun")
    tells "a file system of $size that is full" "$RUN.*: No space left on device"
    rmdir "$RUN"; mv "$RUN.copy" "$RUN"
    check "its run goes on when there is room: $(cat "$RUN.log")" same
    rm -rf "$RUN" "$RUN".*; mkdir "$RUN"
  done
  begun=
  unshare -rm bash -c 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && "$@"' "$RUN" "${T[@]}" 2>"$WORK/err"; code=$?
  tells "a file system that may not be written" "$RUN.*: Read-only file system"
  check "nothing was written" rmdir "$RUN"
else
  echo "SKIPPED  a full and a read-only file system: no mounts of our own here (unshare -rm)"; skipped=1
fi

removed() { # how: the folder goes away while a long run works in it
  rm -rf "$RUN" "$RUN".gone
  timeout 100 "${T[@]}" --set training.max_steps=1000000 --set eval.every=0 >/dev/null 2>"$WORK/err" &
  until [ -e "$RUN/checkpoints/latest" ] || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
  case $1 in
    moved) mv "$RUN" "$RUN.gone" ;;
    removed) until rm -rf "$RUN" 2>/dev/null; do :; done ;;
  esac
  wait $!; code=$?
  tells "a folder that is $1 in mid-run" "$RUN"
  [ -e "$RUN" ] && bad "it is made again: $(find "$RUN")" || ok "it is not made again"
}
begun=yes
removed moved
removed removed
finish && { [ -z "${skipped:-}" ] || exit 77; }
