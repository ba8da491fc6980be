// Time of a malloc+free pair, the variants in turn in one process; medians of rounds, ratio to plain.
// Run with GLIBC_TUNABLES=glibc.pthread.rseq=0 for a system without rseq.
#include "cache.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 41, VARIANT_COUNT = 3, BLOCKS = 1024 };
static const struct variant variants[] = VARIANT_TABLE;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
static int by_value(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }
static uint64_t seed = 88172645463325252ull;
static uint64_t rnd(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }

static void *volatile sink;
static long pair(const struct variant *v, size_t size) {
    for (long i = 0; i < 1000000; i++) { void *p = v->malloc(size); sink = p; v->free(p); }
    return 1000000;
}
static long replace(const struct variant *v, size_t size) { // random replacement in a set of BLOCKS, sizes up to `size`
    static void *set[BLOCKS];
    memset(set, 0, sizeof set);
    for (long i = 0; i < 300000; i++) { void **s = &set[rnd() % BLOCKS]; if (*s) v->free(*s); *s = v->malloc(1 + rnd() % size); }
    for (int i = 0; i < BLOCKS; i++) if (set[i]) v->free(set[i]);
    return 300000;
}
static long burst(const struct variant *v, size_t size) {   // 32 allocated, 32 freed, last first
    void *set[32];
    for (long i = 0; i < 30000; i++) { for (int k = 0; k < 32; k++) set[k] = v->malloc(size); for (int k = 32; k--;) v->free(set[k]); }
    return 30000 * 32;
}
int main(void) {
    static const struct { const char *name; long (*run)(const struct variant *, size_t); size_t size; } jobs[] = {
        {"pair 16", pair, 16}, {"pair 64", pair, 64}, {"pair 592", pair, 592}, {"burst of 32, 64 B", burst, 64}, {"random replacement, 1024 live", replace, 256}};
    printf("%-32s", "ns per pair (ratio to plain)");
    for (int v = 0; v < VARIANT_COUNT; v++) printf("%16s", variants[v].name);
    puts("");
    for (size_t j = 0; j < sizeof jobs / sizeof *jobs; j++) {
        static double t[VARIANT_COUNT][ROUNDS];
        for (int r = -2; r < ROUNDS; r++)
            for (int k = 0; k < VARIANT_COUNT; k++) {
                int v = (k + r + 3) % VARIANT_COUNT;
                double a = now();
                long n = jobs[j].run(&variants[v], jobs[j].size);
                if (r >= 0) t[v][r] = (now() - a) / n;
            }
        printf("%-32s", jobs[j].name);
        for (int v = 0; v < VARIANT_COUNT; v++) qsort(t[v], ROUNDS, sizeof(double), by_value);
        for (int v = 0; v < VARIANT_COUNT; v++) printf("  %6.2f (%5.2f)", t[v][ROUNDS / 2], t[v][ROUNDS / 2] / t[0][ROUNDS / 2]);
        puts("");
    }
}
