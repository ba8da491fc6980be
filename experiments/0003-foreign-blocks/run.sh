#!/bin/sh
# Toys of the time of decision 0003; the allocator has had neither depot nor outbox since decision 0009.
# Builds and runs everything; results.txt is the output of one run. LOCK may hold a command prefix for quiet timings.
set -eu
cd "$(dirname "$0")"
OUT=${OUT:-build}
make -s OUT="$OUT" all
{
    echo "kernel $(uname -r), $(nproc) CPUs, $(cc --version | head -1)"
    "$OUT/handoff-count"
    ${LOCK:-} "$OUT/handoff-time"
} | tee results.txt
