#!/bin/bash
# The rules of the source tree: which folder may include what, what a library doesn't do, and that nothing is left
# half-done. Each rule is a search that must find nothing. usage: layers.sh SOURCE
set -u
cd "$1" || exit 1
failed=0; passed=0
rule() { # what, found lines
  if [ -z "$2" ]; then passed=$((passed + 1)); echo "ok    $1"
  else failed=$((failed + 1)); echo "FAIL  $1:"; printf '%s\n' "$2" | sed 's/^/        /'; fi
}
C=(--include=*.c --include=*.h --include=*.def)
CODE=(src io mpi trace launch golden_traces)
# Lines of code that match: comments and texts in quotes are not code. usage: in_code PATTERN FOLDER...
in_code() {
  local pattern=$1; shift
  find "$@" -name '*.[ch]' -print0 | xargs -0 awk -v pattern="$pattern" '
    FNR == 1 { comment = 0 }
    { line = $0
      gsub(/\\./, "", line); gsub(/"[^"]*"/, "\"\"", line)
      code = ""
      while (line != "") {
        if (comment) { i = index(line, "*/"); if (!i) break; line = substr(line, i + 2); comment = 0 }
        else { i = index(line, "/*"); j = index(line, "//")
          if (j && (!i || j < i)) { code = code substr(line, 1, j - 1); break }
          if (!i) { code = code line; break }
          code = code substr(line, 1, i - 1) " "; line = substr(line, i + 2); comment = 1 } }
      if (code ~ pattern) print FILENAME ":" FNR ": " $0 }'
}
includes() { grep -rnE "${C[@]}" "^[[:space:]]*#[[:space:]]*include[[:space:]]*$1" "${@:2}"; }

[ -d src ] && [ -d io ] && [ -d mpi ] && [ -d launch ] || { echo "FAIL  no source tree: $PWD"; exit 1; }

# Layers: launch -> trace -> io -> src <- mpi. The umbrella header is the one place that knows io from below.
rule "src includes only src" "$(includes '"' src | grep -vE 'include[[:space:]]*"src/|^src/entrenar\.h:')"
rule "the umbrella header includes only io and src" "$(includes '"' src/entrenar.h | grep -vE 'include[[:space:]]*"(src|io)/')"
rule "io includes only io and src" "$(includes '"' io | grep -vE 'include[[:space:]]*"(io|src)/')"
rule "mpi includes only mpi and src" "$(includes '"' mpi | grep -vE 'include[[:space:]]*"(mpi|src)/')"
rule "trace includes only trace, io and src" "$(includes '"' trace | grep -vE 'include[[:space:]]*"(trace|io|src)/')"
rule "launch includes no mpi, only src, io, trace and launch" "$(includes '"' launch | grep -vE 'include[[:space:]]*"(src|io|trace|launch)/')"
rule "the golden examples know the public header only" "$(includes '"' golden_traces | grep -v 'include "src/entrenar.h"')"

# Third-party headers: where each belongs. Tests may read files with the libraries themselves.
belongs() { # header, its files
  rule "<$1> only in $2" "$(includes "<([^>]*/)?$1>" "${CODE[@]}" | grep -vE "^$2:")"
}
belongs 'immintrin\.h' 'src/kernel/(product|product_int8|words)\.[ch]'
belongs '(dnnl|oneapi)[^>]*' 'src/tensor/gemm_[a-z0-9_]*\.[ch]'
belongs 'hdf5(_hl)?\.h' 'io/hdf5[a-z0-9_]*\.c'
belongs 'jansson\.h' 'io/json[a-z0-9_]*\.c'
belongs 'yaml\.h' 'io/yaml[a-z0-9_]*\.c'
belongs 'mpi\.h' 'mpi/[a-z0-9_]*\.[ch]'
belongs 'regex\.h' 'trace/pattern\.c'
belongs '(elfutils/[^>]*|dwarf\.h)' 'trace/source\.c'

# The core has no files. The library doesn't print and doesn't end the program; except that the
# abort of a communicator does just that. What io/metrics.c prints goes into the file it writes.
NOT_A_NAME='(^|[^A-Za-z0-9_>.])'
rule "src opens no files" "$(in_code "$NOT_A_NAME"'(fopen|fdopen|open|openat|mmap|opendir|mkdir|rename|unlink)[ ]*\\(' src)"
rule "src, io, mpi and trace don't print" "$(in_code "$NOT_A_NAME"'((v?printf|v?dprintf|puts|putchar|perror|psignal)[ ]*\\(|stdout|stderr)' src io mpi trace;
  in_code "$NOT_A_NAME"'(v?fprintf|fputs|fputc|putc)[ ]*\\(' src io mpi trace | grep -v '^io/metrics\.c:')"
rule "src, io and mpi don't end the program" \
  "$(in_code "$NOT_A_NAME"'(exit|_exit|_Exit|quick_exit|abort|raise|kill)[ ]*\\(' src io mpi | grep -vE '^(src/comm/self|mpi/comm_mpi)\.c:[0-9]+: +(exit|_Exit)\(exit_code\);$')"

# Bits don't depend on the C library: what IEEE 754 doesn't fix is our own (src/base/elementary.h, src/kernel/kernels.h).
rule "src computes no elementary function by the C library" "$(in_code "$NOT_A_NAME"'(exp|exp2|exp10|expm1|log|log2|log10|log1p|pow|cbrt|hypot|sin|cos|tan|sincos|asin|acos|atan|atan2|sinh|cosh|tanh|erf|erfc|[lt]gamma)[fl]?[ ]*\\(' src)"

# Operators: a file that defines one has its line in ops.def, and the other way round.
defined=$(in_code '^const ent_op ent_op_[a-z0-9_]+ *=' src/autograd/ops | sed -E 's/^[^ ]* const ent_op ent_op_([a-z0-9_]+).*/\1/' | sort)
listed=$(sed -nE 's/^ENT_OP\(([a-z0-9_]+), [A-Z]+\)$/\1/p' src/autograd/ops.def | sort)
[ -n "$defined" ] && [ -n "$listed" ] || { echo "FAIL  no operators found"; failed=$((failed + 1)); }
rule "operators and ops.def agree" "$(diff <(echo "$defined") <(echo "$listed"))"
rule "one operator in a file of its name" "$(for op in $defined; do
  [ "$(in_code '^const ent_op ent_op_' "src/autograd/ops/$op.c" 2>&1 | grep -c "ent_op_$op = ")" = 1 ] || echo "$op"; done)"

rule "CMake lists its sources" "$(find . -name 'build*' -prune -o \( -name CMakeLists.txt -o -name '*.cmake' \) -print0 |
  xargs -0 grep -niE 'file[[:space:]]*\([[:space:]]*GLOB|aux_source_directory')"
rule "C files have at most 450 lines" \
  "$(find "${CODE[@]}" tests -name '*.[ch]' -print0 | xargs -0 wc -l | awk '$1 > 450 && $2 != "total" { print $2 ": " $1 }')"
# The words are put together here so that this file doesn't hold them.
rule "nothing is half-done" "$(grep -rnwiE "TO""DO|FIX""ME|XX""X|st""ub|place""holder" "${CODE[@]}" cmake tests CMakeLists.txt --include=*.c --include=*.h \
  --include=*.def --include=*.sh --include=*.py --include=*.cmake --include=CMakeLists.txt)"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
