// Producers allocate, consumers free: time, atomics, sharing and memory of each route. Built twice: `handoff-time`
// (medians of interleaved rounds) and `handoff-count` (-DCOUNT: atomics, lines by address, memory; not timed).
#define _GNU_SOURCE
#include "toy.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// PUBLISH: items per publication of a queue's head, so that the queue is not what is measured.
enum { RING = 4096, PUBLISH = 64, POOL = 4096, ROUNDS = 21, ROUTES = 4 };
static const struct route *const routes[ROUTES] = {&route_depot, &route_bitmap, &route_owner, &route_null};
static const struct pattern { const char *name; int producers, consumers, random; } patterns[] = {
    {"1:1 first in first out", 1, 1, 0}, {"8:1 first in first out", 8, 1, 0}, {"1:8 first in first out", 1, 8, 0},
    {"1:1 random order", 1, 1, 1}, {"8:1 random order", 8, 1, 1}};
static struct ring { _Atomic size_t head; char a[56]; _Atomic size_t tail; char b[56]; void *slot[RING]; } rings[8][8];
static const struct route *route;
static const struct pattern *pattern;
static int batch;
static long objects;                // per producer
static _Atomic int running;
static struct { long atomics, made, freed, shared; char pad[32]; } seen[MAX_THREADS] __attribute__((aligned(64)));
static long peak_live;

#ifdef COUNT
static _Atomic uint32_t *lines;     // per 64-byte line: holder << 16 | blocks held
static void hold(int me, void *p, int step) {
    size_t first = ((char *)p - toy.base) / 64, last = ((char *)p - toy.base + toy.size - 1) / 64;
    int bad = 0;
    for (size_t l = first; l <= last; l++) {
        uint32_t was = lines[l], now;
        do {
            now = step > 0 ? ((uint32_t)me << 16 | ((was & 0xffff) + 1)) : was - 1;
        } while (!atomic_compare_exchange_weak(&lines[l], &was, now));
        bad |= step > 0 && (was & 0xffff) && (int)(was >> 16) != me;
    }
    if (step > 0) {
        seen[me].shared += bad;
        if (++seen[me].made % 256 == 0) {
            long live = 0;
            for (int i = 0; i < MAX_THREADS; i++) live += __atomic_load_n(&seen[i].made, __ATOMIC_RELAXED) - __atomic_load_n(&seen[i].freed, __ATOMIC_RELAXED);
            if (live > peak_live) peak_live = live;
        }
    }
}
#define ATOMICS() atomics
#define RESET_ATOMICS() (atomics = 0)
#else
static void hold(int me, void *p, int step) { (void)me, (void)p, (void)step; }
#define ATOMICS() 0
#define RESET_ATOMICS() ((void)0)
#endif

// Producers on the first CPU we may use, consumers on the last: every hand-off crosses, whatever the scheduler likes.
static void stay_on(int last) {
    cpu_set_t may, one;
    sched_getaffinity(0, sizeof may, &may);
    int cpu = -1;
    for (int i = 0; i < CPU_SETSIZE; i++) if (CPU_ISSET(i, &may)) { cpu = i; if (!last) break; }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one); // of this thread
}
static void *produce(void *arg) {
    stay_on(0);
    int me = (long)arg, to = 0;
    void *mine[MAX_BATCH];
    size_t n = 0, heads[8] = {0};
    RESET_ATOMICS();
    for (long i = 0; i < objects; i++) {
        if (!n) n = route->take(me, mine, batch);
        void *p = mine[--n];
        hold(me, p, 1);
        *(uintptr_t *)p = ~(uintptr_t)p;
        struct ring *r = &rings[me][to];
        if (++to == pattern->consumers) to = 0;
        size_t h = heads[r - rings[me]]++;
        while (h - atomic_load_explicit(&r->tail, memory_order_acquire) == RING) sched_yield();
        r->slot[h % RING] = p;
        if ((h + 1) % PUBLISH == 0) atomic_store_explicit(&r->head, h + 1, memory_order_release);
    }
    for (int k = 0; k < pattern->consumers; k++) atomic_store_explicit(&rings[me][k].head, heads[k], memory_order_release);
    seen[me].atomics = ATOMICS();
    running--;
    return NULL;
}
static void *consume(void *arg) {
    stay_on(1);
    int k = (long)arg, me = 8 + k;
    void *outbox[MAX_BATCH], **pool = calloc(POOL, sizeof *pool);
    size_t n = 0;
    uint64_t x = 88172645463325252ull + k;
    RESET_ATOMICS();
    for (int more = 1, idle; more;) {
        more = running > 0;
        idle = 1;
        for (int p = 0; p < pattern->producers; p++) {
            struct ring *r = &rings[p][k];
            size_t t = atomic_load_explicit(&r->tail, memory_order_relaxed), h = atomic_load_explicit(&r->head, memory_order_acquire);
            if (t != h) idle = 0, more = 1;
            for (; t != h; t++) {
                void *b = r->slot[t % RING];
                if (pattern->random) { // frees whatever has been in this place of the pool
                    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
                    void **place = &pool[x % POOL], *old = *place;
                    *place = b;
                    if (!(b = old)) continue;
                }
                if (*(uintptr_t *)b != ~(uintptr_t)b) { fprintf(stderr, "block %p was overwritten\n", b); abort(); }
                hold(me, b, -1);
                outbox[n++] = b;
                seen[me].freed++;
                if (n == (size_t)batch) route->give(me, outbox, n), n = 0;
            }
            atomic_store_explicit(&r->tail, t, memory_order_release);
        }
        if (idle && more) sched_yield();
    }
    for (int i = 0; i < POOL; i++) if (pool[i]) {
        hold(me, pool[i], -1);
        outbox[n++] = pool[i];
        seen[me].freed++;
        if (n == (size_t)batch) route->give(me, outbox, n), n = 0;
    }
    if (n) route->give(me, outbox, n);
    seen[me].atomics = ATOMICS();
    free(pool);
    return NULL;
}
static double cpu_now(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
// One run; CPU nanoseconds (user + system, all threads) per object.
static double run(const struct route *r, const struct pattern *p, size_t size, int b, long total) {
    route = r, pattern = p, batch = b, objects = total / p->producers;
    toy_reset(size);
    r->reset(b);
    memset(rings, 0, sizeof rings);
    memset(seen, 0, sizeof seen);
    peak_live = 0;
    running = p->producers;
    pthread_t t[16];
    int n = 0;
    double start = cpu_now();
    for (long i = 0; i < p->consumers; i++) pthread_create(&t[n++], NULL, consume, (void *)i);
    for (long i = 0; i < p->producers; i++) pthread_create(&t[n++], NULL, produce, (void *)i);
    while (n) pthread_join(t[--n], NULL);
    return (cpu_now() - start) / (objects * p->producers);
}
#ifndef COUNT
static int by_value(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }
#endif
static void row(const struct pattern *p, size_t size, int b) {
    printf("%-23s %4zu B %5d |", p->name, size, b);
#ifdef COUNT
    for (int r = 0; r < ROUTES - 1; r++) {
        run(routes[r], p, size, b, 1000000);
        long a = 0, shared = 0, made = 0;
        for (int i = 0; i < MAX_THREADS; i++) a += seen[i].atomics, shared += seen[i].shared, made += seen[i].made;
        size_t slabs = toy.slab_top, all = slabs * (SLAB / size / toy.group * toy.group);
        printf("  %6.4f %7ld %5.2f %4.0f%% |", (double)a / made, shared, (double)slabs * SLAB / ((double)peak_live * size), 100. * routes[r]->reusable(0) / all);
        memset((void *)lines, 0, slabs * SLAB / 64 * sizeof *lines);
    }
#else
    static double t[ROUTES][ROUNDS];
    for (int k = -1; k < ROUNDS; k++)
        for (int r = 0; r < ROUTES; r++) {
            int i = (r + k + 1) % ROUTES;
            double ns = run(routes[i], p, size, b, 400000);
            if (k >= 0) t[i][k] = ns;
        }
    // the ratio is the median of the rounds' own ratios: a slow phase of the machine falls on both sides of it
    double ratio[ROUTES][ROUNDS];
    for (int r = 0; r < ROUTES; r++) for (int k = 0; k < ROUNDS; k++) ratio[r][k] = t[r][k] / t[0][k];
    for (int r = 0; r < ROUTES; r++) qsort(t[r], ROUNDS, sizeof(double), by_value), qsort(ratio[r], ROUNDS, sizeof(double), by_value);
    for (int r = 0; r < ROUTES - 1; r++) printf("  %6.1f (%5.2f) |", t[r][ROUNDS / 2], ratio[r][ROUNDS / 2]);
    printf("  %6.1f", t[ROUTES - 1][ROUNDS / 2]);
#endif
    puts("");
    fflush(stdout);
}
int main(void) {
    static const size_t sizes[] = {16, 48, 64, 592, 640};
    static const int batches[] = {64, 1024};
#ifdef COUNT
    lines = calloc((size_t)MAX_SLABS * SLAB / 64, sizeof *lines);
    puts("per route: atomics per object; blocks handed out into a line that another thread holds (of 10^6); slab memory / peak live;\n"
         "share of all blocks that a third thread can be given once the producers sleep");
    printf("%-23s %6s %5s | %25s | %25s | %25s |\n", "pattern", "size", "batch", "depot", "bitmap", "owner");
#else
    puts("CPU ns per object (median ratio to depot); producers on one CPU, consumers on another");
    printf("%-23s %6s %5s | %15s | %15s | %15s | %7s\n", "pattern", "size", "batch", "depot", "bitmap", "owner", "queues");
#endif
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) row(&patterns[p], sizes[s], 256);
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++)
        for (size_t b = 0; b < 2; b++)
            for (size_t size = 48; size <= 64; size += 16) row(&patterns[p], size, batches[b]);
}
