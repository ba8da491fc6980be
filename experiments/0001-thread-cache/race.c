// A drainer empties a running thread's magazine again and again: is a block ever in two hands?
#include "cache.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 64, HELD = 24, CLASS = 4, SECONDS = 2, SLOTS = 1 << 25 };
static const struct variant variants[] = VARIANT_TABLE;
static const struct variant *v;
static uint8_t *owned;              // 0 free, 1 the worker's, 2 taken by the drainer (for good)
static uint64_t lowest;
static _Atomic int stop;
static struct thread_cache *_Atomic cache;
static _Atomic long twice, drains, drained, pairs;

static void own(void *p, int who) {
    uint64_t i = ((uint64_t)p - lowest) / BLOCK;
    if (i >= SLOTS) abort();
    if (__atomic_exchange_n(&owned[i], who, __ATOMIC_SEQ_CST)) twice++;
}
static void *work(void *arg) {
    (void)arg;
    cache = v->self();
    void *held[HELD];
    while (!stop) {
        for (int k = 0; k < HELD; k++) own(held[k] = v->malloc(BLOCK), 1);
        for (int k = 0; k < HELD; k++) {
            uint8_t expected = 1;   // a block that the drainer has taken too is not freed a second time
            if (__atomic_compare_exchange_n(&owned[((uint64_t)held[k] - lowest) / BLOCK], &expected, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) v->free(held[k]);
        }
        pairs += HELD;
    }
    return NULL;
}
int main(void) {
    printf("%d s of malloc and free against a drainer\n", SECONDS);
    for (int i = 0; i < 3; i++) {
        fflush(stdout);
        if (fork()) { int st; wait(&st); if (st) printf("  %-8s ended with status %#x\n", variants[i].name, st); continue; }
        v = &variants[i];
        owned = calloc(SLOTS, 1);
        v->options(0, 0);
        lowest = (uint64_t)v->malloc(BLOCK) & ~((1ull << 29) - 1);
        pthread_t t;
        pthread_create(&t, NULL, work, NULL);
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        do {
            void *out[4096];
            size_t n = cache ? v->drain(cache, CLASS, out, 4096) : 0;
            for (size_t k = 0; k < n; k++) own(out[k], 2);
            drains++;
            drained += n;
            for (volatile int pause = 0; pause < 3000; pause++) {}
            clock_gettime(CLOCK_MONOTONIC, &b);
        } while (b.tv_sec - a.tv_sec < SECONDS && drained < 8000000);
        stop = 1;
        pthread_join(t, NULL);
        printf("  %-8s %9ld pairs, %7ld drains, %8ld blocks taken, in two hands: %ld\n", v->name, pairs, drains, drained, twice);
        fflush(stdout);
        _exit(0);
    }
}
