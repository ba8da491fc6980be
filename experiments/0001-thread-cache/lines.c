// By address: is a 64-byte line ever handed to two threads while both hold blocks in it? Every malloc and free runs
// under one lock with its book-keeping, so a sharing that is counted did happen.
#include "cache.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, HELD = 200, STEPS = 100000, LINES = 1 << 24 };
static const struct variant variants[] = VARIANT_TABLE;
static const struct variant *v;
static uint8_t (*holds)[THREADS]; // per line and thread: blocks held
static pthread_mutex_t book = PTHREAD_MUTEX_INITIALIZER;
static size_t size;
static long shared, handed;
static uint64_t lowest;

static void note(void *p, int me, int step) {
    uint64_t first = ((uint64_t)p - lowest) / 64, last = ((uint64_t)p - lowest + size - 1) / 64;
    int bad = 0;
    if (last >= LINES) abort();
    for (uint64_t l = first; l <= last; l++) {
        holds[l][me] += step;
        for (int t = 0; t < THREADS; t++) bad |= t != me && holds[l][t];
    }
    if (step > 0) handed++, shared += bad;
}
static void *work(void *arg) {
    int me = (long)arg;
    void *held[HELD] = {0};
    uint64_t x = 88172645463325252ull + me;
    for (int i = 0; i < STEPS; i++) {
        x ^= x << 13; x ^= x >> 7; x ^= x << 17;
        void **h = &held[x % HELD];
        pthread_mutex_lock(&book);
        if (*h) { note(*h, me, -1); v->free(*h); *h = NULL; }
        else note(*h = v->malloc(size), me, 1);
        pthread_mutex_unlock(&book);
    }
    return NULL;
}
int main(void) {
    static const size_t sizes[] = {16, 48, 64};
    puts("8 threads, random replacement: blocks handed out into a line in which another thread holds a block");
    for (int i = 0; i < 3; i++)
        for (int s = 0; s < 3; s++) {
            fflush(stdout);
            if (fork()) { wait(NULL); continue; }
            v = &variants[i], size = sizes[s];
            holds = calloc(LINES, THREADS);
            lowest = (uint64_t)v->malloc(size) & ~((1ull << 29) - 1);
            pthread_t t[THREADS];
            for (long k = 0; k < THREADS; k++) pthread_create(&t[k], NULL, work, (void *)k);
            for (int k = 0; k < THREADS; k++) pthread_join(t[k], NULL);
            printf("  %-8s %4zu B: %7ld of %ld\n", v->name, size, shared, handed);
            fflush(stdout);
            _exit(0);
        }
}
