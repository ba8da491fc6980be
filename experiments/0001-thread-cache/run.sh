#!/bin/sh
# Toys of the time of decision 0001; the allocator has had no magazines since decision 0009.
# Builds and runs everything; results.txt is the output of one run. LOCK may hold a command prefix for quiet timings.
set -eu
cd "$(dirname "$0")"
OUT=${OUT:-build}
make -s OUT="$OUT" all
{
    echo "kernel $(uname -r), $(ldd --version | head -1), $(nproc) CPUs, $(cc --version | head -1)"
    echo "== pair"
    ${LOCK:-} "$OUT/pair"
    echo "== pair, without rseq"
    GLIBC_TUNABLES=glibc.pthread.rseq=0 ${LOCK:-} "$OUT/pair"
    echo "== threads"
    "$OUT/threads"
    echo "== dormant threads, without rseq"
    GLIBC_TUNABLES=glibc.pthread.rseq=0 "$OUT/threads" dormant
    echo "== lines"
    "$OUT/lines"
    echo "== race"
    "$OUT/race"
    echo "== preempt"
    "$OUT/preempt"
    echo "== fork"
    "$OUT/fork"
} | tee results.txt
