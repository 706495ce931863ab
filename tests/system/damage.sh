#!/bin/bash
# A finished run whose newest checkpoint is damaged in any way resumes from the one before, names what it passed over and
# why, and ends with the bits it had. usage: damage.sh BIN SOURCE [SAMPLES [SEED]]
HERE=$(realpath "$(dirname "$0")")
. "$HERE/lib.sh" "$@"
SAMPLES=${3:-$(thorough && echo 100 || echo 8)}; SEED=${4:-$(date +%s)}
echo "      seed $SEED"
cp -r "$DATA/oracle/llama" "$WORK/llama"; cd "$WORK/llama" || exit 1
T=("$BIN/entrenar-train" config.yaml --quiet --set training.max_steps=4 --set checkpoint.every=1 --set checkpoint.keep=3)
NEWEST=step-00000004
for m in json yaml; do
  check "$m: a run" "${T[@]}" --set training.output_dir=$m --set checkpoint.metadata=$m
done
resume() { "${T[@]}" --set training.output_dir=hurt --set checkpoint.metadata=$m --resume; }
untimed() { cut -d, -f1-6 "$1/metrics.jsonl"; }
as_it_was() { # checkpoints, adapter and log of hurt are those of the run
  for f in $(cd $m && ls checkpoints/*.h5 adapter/*); do cmp $m/$f hurt/$f || return 1; done; cmp <(untimed $m) <(untimed hurt)
}
hurt() { # WHAT REASON COMMAND: damages a copy with the command, run in its checkpoints. REASON: pattern of what is said, empty: nothing
  local what="$m: $1" reason=$2; shift 2
  rm -rf hurt; cp -r $m hurt; (cd hurt/checkpoints && eval "$*") || { bad "$what: the damage"; return; }
  resume >"$WORK/log" 2>&1 || { bad "$what: exit code $?: $(cat "$WORK/log")"; return; }
  if [ -z "$reason" ]; then [ -s "$WORK/log" ] && { bad "$what: expected no message: $(cat "$WORK/log")"; return; }
  else grep -q "passed over: .*$NEWEST.*$reason" "$WORK/log" || { bad "$what: expected \"$NEWEST... $reason\": $(cat "$WORK/log")"; return; }; fi
  check "$what: ${reason:+passed over, }same bits" as_it_was
}
for m in json yaml; do
  check "$m: bytes of the numbers" python3 "$HERE/damage.py" $m checkpoints/$NEWEST.h5 $((2 * SAMPLES)) "$SAMPLES" "$SEED" REPORT -- \
    "${T[@]}" --set training.output_dir=hurt --set checkpoint.metadata=$m --resume
  tail -1 "$WORK/log"
  check "$m: bytes of the metadata" python3 "$HERE/damage.py" $m checkpoints/$NEWEST.$m $((2 * SAMPLES)) "$SAMPLES" "$SEED" ANY -- \
    "${T[@]}" --set training.output_dir=hurt --set checkpoint.metadata=$m --resume
  tail -1 "$WORK/log"
  hurt "nothing" "" :
  hurt "metadata of another step" "SHA-256" cp step-00000003.$m $NEWEST.$m
  hurt "numbers of another step" "SHA-256" cp step-00000003.h5 $NEWEST.h5
  hurt "both of another step" "step: expected 4, found 3" "cp step-00000003.h5 $NEWEST.h5; cp step-00000003.$m $NEWEST.$m"
  hurt "numbers missing" "No such file" rm $NEWEST.h5
  hurt "metadata missing" "metadata is missing" rm $NEWEST.$m
  hurt "numbers empty" "SHA-256" : \>$NEWEST.h5
  hurt "metadata empty" "expected a" : \>$NEWEST.$m
  for at in 100 700 5000 14000; do # cached tokens with another digest are made anew
    hurt "cache at $at" "" "rm $NEWEST.*; printf '\377\377\377\177' | dd of=\$(ls ../cache/units-*) bs=1 seek=$at conv=notrunc 2>/dev/null"
  done
  hurt "latest of another step" "" echo step-00000002 \>latest
  hurt "latest of no step" "" echo step-00000009 \>latest
  hurt "latest not a name" "" head -c 5000 /dev/urandom \>latest
  hurt "latest empty" "" : \>latest
  hurt "latest missing" "" rm latest
  hurt "latest a dangling link" "" ln -sf nowhere latest
  hurt "numbers a dangling link" "No such file" ln -sf nowhere $NEWEST.h5
  hurt "metadata a dangling link" "is missing" ln -sf nowhere $NEWEST.$m
  hurt "names that mean nothing" "" "touch step-9.h5 step-00000009.h5.bak step-99999999999999999999.h5 step-0000000x.h5 step-00000009.txt step-; mkdir -p other/step-00000009.h5"
  # Metadata that is well formed, or nearly, and says something else
  for text in '' '{}' '[]' 'null' '3' '{"file": 3}' '{"file": {"sha256": 5}}' '{"file": {"sha256": ""}}' '{"file": {"sha256": "\u0000"}}' \
    '{"step": 4, "step": 4}' '&a [*a]' '*a' '!!binary x' '%YAML 9.9' '- - - -' '? {}' "$(printf '\t')" "$(printf '[%.0s' {1..20000})" "$(printf '{"a":%.0s' {1..20000})"; do
    printf '%s' "$text" >"$WORK/text"
    hurt "metadata '${text:0:30}'" "." cp "$WORK/text" $NEWEST.$m
  done
  # A folder in the place of a file is passed over; it is not removed, so that what is to stand there cannot be written
  for f in h5 $m; do
    rm -rf hurt; cp -r $m hurt; rm hurt/checkpoints/$NEWEST.$f; mkdir hurt/checkpoints/$NEWEST.$f
    resume >"$WORK/log" 2>&1; code=$?
    [ $code = 1 ] && grep -q "passed over: $NEWEST.$f.*[Ii]s a directory" "$WORK/log" && tail -1 "$WORK/log" | grep -q "$NEWEST.$f: Is a directory" &&
      ok "$m: a folder in the place of $f: $(tail -1 "$WORK/log" | sed 's,.*/llama/,,')" || bad "$m: a folder in the place of $f: exit code $code: $(cat "$WORK/log")"
  done
  # None usable: all are named, nothing is touched
  for how in "truncate -s 1000 *.h5" "truncate -s 1000 *.$m" "rm *.h5"; do
    rm -rf hurt none; cp -r $m hurt; (cd hurt/checkpoints && eval "$how"); cp -r hurt none
    resume >"$WORK/log" 2>&1; code=$?
    [ $code = 2 ] && [ "$(grep -c "passed over: .*step-0000000[234]\." "$WORK/log")" = 3 ] && tail -1 "$WORK/log" | grep -q "no usable checkpoint" &&
      ok "$m: $how: exit code $code: $(tail -1 "$WORK/log" | sed 's,.*/llama/,,')" || bad "$m: $how: exit code $code: $(cat "$WORK/log")"
    check "$m: $how: nothing is touched" diff -r -x lock -x cache none hurt
  done
done
finish
