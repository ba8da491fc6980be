#!/bin/sh
# Of the time of decision 0002: builds the last commit before decision 0009, which the patches fit. It is not about the sources of today.
# Instructions per pair of malloc and free, with the default checks and without, beside mimalloc.
#
# Builds two throw-away copies of that commit; no-checks.patch takes the checks out of free's fast path.
# Callgrind runs a program about 50 times slower, so that a busy thread would look idle; slow-clock.patch slows the
# allocator's clock by as much, in both copies.
# MIMALLOC names libmimalloc.so (the bench builds target/peers/libmimalloc.so); without it that column is left out.
set -eu
cd "$(dirname "$0")"
here=$PWD
OUT=${OUT:-build}
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
for program in patterns second_free; do
    cc -O2 -fno-builtin -o "$OUT/$program" $program.c
done

build() { # name, patches...
    name=$1
    shift
    if [ ! -e "$OUT/$name.so" ]; then
        rm -rf "${OUT:?}/$name"
        mkdir "$OUT/$name"
        git -C ../.. archive 1b8d48b | tar x -C "$OUT/$name"
        for patch in "$@"; do
            patch -s -p1 -d "$OUT/$name" <"$here/$patch"
        done
        (cd "$OUT/$name" && CARGO_TARGET_DIR="$OUT/target-$name" cargo build -q --release -p aethalloc-abi)
        cp "$OUT/target-$name/release/libaethalloc.so" "$OUT/$name.so"
    fi
}
build with slow-clock.patch
build without slow-clock.patch no-checks.patch

length() { # library: instructions of free up to its first return
    objdump -d --no-show-raw-insn "$1" | awk '/<free(@@[A-Za-z]*)?>:/ {on = 1; next} on {n++} on && /\tret/ {print n; exit}'
}

count() { # library, arguments of patterns
    library=$1
    shift
    LD_PRELOAD=$library valgrind --tool=callgrind --callgrind-out-file=/dev/null "$OUT/patterns" "$@" 2>&1 |
        awk '/Collected/ {print $NF}'
}

per_pair() { # library, pattern, size, [nothing]
    library=$1 pattern=$2 size=$3 nothing=${4:-}
    n=320000
    a=$(count "$library" "$pattern" "$size" $n $nothing)
    b=$(count "$library" "$pattern" "$size" $((2 * n)) $nothing)
    awk -v a="$a" -v b="$b" -v n=$n 'BEGIN {printf "%8.1f", (b - a) / n}'
}

{
    echo "$(valgrind --version), $(cc --version | head -1)"
    echo "free, instructions of the fast path: with checks $(length "$OUT/with.so"), without $(length "$OUT/without.so")"
    echo "instructions per pair, the loop's own included"
    echo "pattern  size      with   without  mimalloc  the loop"
    for size in 16 64 592; do
        for pattern in pair random fifo shuffle spread; do
            printf '%-8s %4s  %s  %s' $pattern $size "$(per_pair "$OUT/with.so" $pattern $size)" \
                "$(per_pair "$OUT/without.so" $pattern $size)"
            if [ -n "${MIMALLOC:-}" ]; then printf '  %s' "$(per_pair "$MIMALLOC" $pattern $size)"; else printf '         -'; fi
            printf '  %s\n' "$(per_pair "" $pattern $size nothing)"
        done
    done
    echo "a block of a busy thread freed a second time"
    for size in 16 64 592; do
        LD_PRELOAD=$OUT/with.so "$OUT/second_free" $size
    done
} | tee results.txt
