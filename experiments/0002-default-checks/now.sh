#!/bin/sh
# Of the sources of today: builds the library twice from a copy of the last commit, as it is and with the checks taken out of the fast path of free
# (no-checks-now.patch), and says how many instructions that has. rounds.py measures both.
set -eu
cd "$(dirname "$0")"
here=$PWD
OUT=${OUT:-build}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
rm -rf "${OUT:?}/tree"
mkdir "$OUT/tree"
git -C ../.. archive HEAD | tar x -C "$OUT/tree"
cd "$OUT/tree"
for name in with without; do
    if [ $name = without ]; then patch -s -p1 <"$here/no-checks-now.patch"; fi
    CARGO_TARGET_DIR="$OUT/target" cargo build -q --release -p aethalloc-abi
    cp "$OUT/target/release/libaethalloc.so" "$OUT/$name.so"
    objdump -d --no-show-raw-insn "$OUT/$name.so" |
        awk -v name=$name '/<free(@@[A-Za-z]*)?>:/ {on = 1; next} on {n++} on && /\tret/ {print name, n; exit}'
done
