#!/bin/bash
# The tracer sees what strace -f sees, call by call, of programs with threads, children, signals and exec; it leaves the
# program alone: its output, its signals, its exit code. usage: tracer.sh BIN SOURCE TRACED
. "$(dirname "$0")/lib.sh" "$@"
busy=$3/busy; cd "$WORK" || exit 1
trace=("$BIN/entrenar" trace)
if ! strace -o /dev/null true 2>"$WORK/log"; then
  echo "SKIPPED: PTRACE IS NOT ALLOWED HERE: nothing about the tracer was tested: $(tail -1 "$WORK/log")"; exit 77
fi
agrees() { # what, program...
  local what=$1; shift
  "${trace[@]}" record -f -o ours.json -- "$@" >ours.out 2>ours.err; local code=$?
  strace -f -o theirs.strace "$@" >theirs.out 2>theirs.err
  [ $code = $? ] && ok "$what: exit code $code" || bad "$what: exit code $code"
  check "$what: as strace" python3 "$SOURCE/tests/system/strace_agrees.py" ours.json theirs.strace
  cmp -s <(sort ours.out) <(sort theirs.out) && [ ! -s ours.err ] && ok "$what: output" || bad "$what: output: $(tail -1 ours.err)"
}
agrees "a shell" sh -c 'echo a; cat /etc/hostname >/dev/null; ls /nonexistent 2>/dev/null; exit 5'
for mode in threads children signals exec sources; do agrees "$mode" "$busy" $mode; done
agrees "big output" head -c 3000000 /dev/zero

# it fails when it should
"${trace[@]}" record -f -o a.json -- "$busy" sources >/dev/null
strace -f -o b.strace "$busy" threads >/dev/null 2>&1
python3 "$SOURCE/tests/system/strace_agrees.py" a.json b.strace >/dev/null 2>&1 && bad "other programs agree" || ok "other programs don't agree"

# exit codes and signals
"${trace[@]}" record -o k.json -- "$busy" killed; [ $? = 143 ] && ok "killed by SIGTERM: 143" || bad "killed by SIGTERM"
grep -q '"signal": 15' k.json && ok "its signal is told" || bad "its signal is not told"
"${trace[@]}" record -o w.json -- "$busy" wait >w.out & tracer=$!
for _ in $(seq 100); do [ -s w.out ] && break; sleep 0.05; done
sleep 0.1; kill -USR1 $tracer; wait $tracer; code=$?
[ $code = 9 ] && ok "a signal is passed on" || bad "a signal is passed on: exit code $code"
grep -q '"name": "pause".*"error": "ERESTARTNOHAND"' w.json && ok "the interrupted call" || bad "the interrupted call"

# the peak of a process is of all the programs it ran; a call of another architecture isn't told as one of ours
"${trace[@]}" record -o large.json -- "$busy" shrinking
grep -A1 '"processes"' large.json | grep -qE '"max_rss_kb": [5-9][0-9]{4},' && ok "the peak before an exec" || bad "the peak before an exec: $(grep -A1 '"processes"' large.json)"
if [ "$(uname -m)" = x86_64 ] && "$busy" foreign 2>/dev/null; then # kernels may have no such door
  "${trace[@]}" record -o foreign.json -- "$busy" foreign
  grep -q '"name": "syscall_0x14", "args": \[\["arg1", ' foreign.json && ! grep -q writev foreign.json &&
    ok "a 32-bit call" || bad "a 32-bit call: $(grep -E 'writev|syscall_' foreign.json)"
fi

# words are bytes
"${trace[@]}" record -o bytes.json -- echo $'\xff\xc3\xa9' 'a\b' $'\xc3\xa9' >/dev/null
check "words that are not UTF-8" python3 -c 'import json; assert json.load(open("bytes.json"))["program"][1:] == [r"\377\303\251", r"a\b", "\u00e9"]'
check "its table" "${trace[@]}" summary bytes.json

# without -f, only the first thread
"${trace[@]}" record -o one.json -- "$busy" children >/dev/null
[ "$(grep -o '"tid": [0-9]*' one.json | sort -u | wc -l)" = 1 ] && ok "without -f one thread" || bad "without -f one thread"

# where it was asked for
"${trace[@]}" record --source -o s.json -- "$busy" sources >/dev/null
line=$(grep -n 'print_line("through' "$SOURCE/tests/traced/busy.c" | cut -d: -f1); at=$(grep -n '    fflush(stdout);' "$SOURCE/tests/traced/busy.c" | cut -d: -f1)
grep '"name": "write"' s.json | grep -qE "\"source\": {\"file\": \"[^\"]*busy.c\", \"line\": ($line|$at), \"function\": \"(print_line|sources)\"}" &&
  ok "source of a write through stdio" || bad "source of a write through stdio: $(grep '"name": "write"' s.json)"

# both formats, and the loader's part
"${trace[@]}" record --format v1-raw --timing -o raw.json -- /bin/true
check "v1-raw" python3 - raw.json <<'P'
import json, sys
trace = json.load(open(sys.argv[1]))
assert trace["format"] == "renacer-json-v1" and trace["version"] == "0.6.2" and trace["summary"]["exit_code"] == 0
for call in trace["syscalls"]:
    assert len(call["args"]) == 3 and isinstance(call["result"], int) and isinstance(call["duration_us"], int), call
    for arg in call["args"]:
        assert arg.startswith("0x") or (call["name"] == "openat" and arg.startswith('"/')), call
P
"${trace[@]}" record --format v1-raw -o hosts.json -- cat /etc/hostname >hosts.out
python3 - <<'P' # as renacer leaves it: behind the program's output, indented by serde, from behind the execve on
import json
trace = json.load(open("hosts.json"))
del trace["syscalls"][0]
trace["summary"]["total_syscalls"] -= 1
open("users.json", "w").write(open("hosts.out").read() + '{\n  "version": "x"}\n' + json.dumps(trace, indent=2) + "\n")
P
"${trace[@]}" record -o hosts.json -- cat /etc/hostname >hosts.out
check "a user's file of renacer" "${trace[@]}" compare users.json hosts.json
"${trace[@]}" record -o other.json -- cat /etc/passwd >hosts.out
"${trace[@]}" compare users.json other.json >log 2>&1 && bad "another program than the user's" || ok "another program than the user's"
"${trace[@]}" record -o true.json -- /bin/true
grep '"name": "openat"' true.json | grep -q 'ld.so.cache.*"stage": "loader"' && ok "the loader is told apart" || bad "the loader is told apart"

# what rules can say
"${trace[@]}" assert --help >help; for word in max_duration_ms tracking_mode 'type = "anti_pattern"' threshold 'calls("REGEX")' wall_ms; do
  grep -qF "$word" help && ok "help: $word" || bad "help: no $word"
done

# errors
refused() { local what=$1 expected=$2; shift 2
  "$@" >"$WORK/log" 2>&1 && bad "$what: accepted" || { grep -q "$expected" "$WORK/log" && ok "$what" || bad "$what: $(cat "$WORK/log")"; }; }
refused "no such program" 'entrenar: nowhere: no such program in PATH' "${trace[@]}" record -o n.json -- nowhere
refused "no program" 'expected a program' "${trace[@]}" record -o n.json --
refused "not executable" 'Permission denied' "${trace[@]}" record -o n.json -- ./true.json
[ -e n.json ] && bad "a failed record leaves a file" || ok "a failed record leaves no file"
refused "an empty name" 'expected a program, found ""' "${trace[@]}" record -o n.json -- ''
mkdir -p there/echo; mkfifo pipe; ln -s true.json link.json; place() { refused "$1" "$3" "${trace[@]}" record -o "$2" -- touch ran; }
place "no folder" no/n.json 'no/n.json: No such file'
place "a folder in its place" there 'there: expected a place for a file, found a folder'
place "a pipe in its place" pipe 'pipe: expected a place for a file, found a device, pipe or socket'
place "a link in its place" link.json 'link.json: expected a place for a file, found a symbolic link'
[ -e ran ] && bad "what can't be written down runs" || ok "what can't be written down doesn't run"
PATH="$PWD/there:$PATH" "${trace[@]}" record -o folder.json -- echo found | grep -q found && ok "folders in PATH are no programs" || bad "folders in PATH"
refused "a format" 'expected v1 or v1-raw, found v2' "${trace[@]}" record --format v2 -- true
echo '{"format": "other", "syscalls": []}' >other.json
refused "another file" 'other.json: expected a trace' "${trace[@]}" summary other.json
(echo before; cat true.json) >before.json
refused "something before a trace" 'before.json: expected a trace alone' "${trace[@]}" summary before.json
head -c 700 true.json >cut.json
refused "a file cut off" 'cut.json: line' "${trace[@]}" summary cut.json
"${trace[@]}" summary true.json >table && head -1 table | grep -q '% time     seconds  usecs/call     calls    errors syscall' && ok "the table" || bad "the table"
[ "$(tail -1 table | awk '{ print $4 }')" = "$(grep -c '^    {"name": .*"args"' true.json)" ] && ok "its total" || bad "its total"
finish
