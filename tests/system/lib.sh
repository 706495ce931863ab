# Shared by the system tests, which run the programs as a user does. usage: . lib.sh BIN SOURCE
set -u
BIN=$1; SOURCE=$2
DATA=$SOURCE/tests/data
WORK=$(mktemp -d) || exit 1
trap 'rm -rf "$WORK"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
# Where python3 is a script that looks for the interpreter, as pyenv's, it takes ten times as long to start.
PATH=$(python3 -c 'import os, sys; print(os.path.dirname(sys.executable))'):$PATH
# Tests run beside one another: threads that wait give their core away at once.
export OMP_WAIT_POLICY=passive
failed=0; passed=0
# The long tests look at a sample, or at all with launch/check --thorough, which has hours where launch/check has minutes.
thorough() { [ -n "${ENT_THOROUGH:-}" ]; }
sanitized() { ldd "$BIN/entrenar-train" | grep -q libasan; }
# Numbers of ranks and threads, for runs that give the same bits on each.
WORLDS=("0 2" "3 2"); thorough && WORLDS=("0 1" "0 2" "2 1" "2 2" "3 1" "3 2")
ok()  { passed=$((passed + 1)); echo "ok    $*"; }
bad() { failed=$((failed + 1)); echo "FAIL  $*"; }
check() { # what, command...: if it fails, what its programs said is shown before mpirun's words
  local what=$1; shift
  if "$@" >"$WORK/log" 2>&1; then ok "$what"; else bad "$what: $(grep -E -m5 '^entrenar: |ERROR|Sanitizer|runtime error' "$WORK/log"; tail -3 "$WORK/log")"; fi
}
# The leak sanitizer tells Open MPI's own leaks by the libraries on their stacks.
mpirun() { ASAN_OPTIONS="${ASAN_OPTIONS:-}:fast_unwind_on_malloc=0" command mpirun "$@"; }
# n programs under mpirun; 0: one without. Where many end at once LeakSanitizer's tracer may fail: few are enough for it.
ranks() {
  local n=$1; shift
  if [ "$n" = 0 ]; then "$@"; return; fi
  local leaks=1; [ "$n" -gt 3 ] && leaks=0
  ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=$leaks" mpirun --oversubscribe --bind-to none -n "$n" "$@"
}
newest() { ls "$1"/checkpoints/step-*.h5 | sort | tail -1; }
finish() { echo "$passed passed, $failed failed"; [ "$failed" = 0 ]; }
