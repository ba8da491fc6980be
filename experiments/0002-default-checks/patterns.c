/* patterns PATTERN SIZE OPS: OPS pairs of malloc and free in one of five orders, on whatever malloc the process has.
   With OPS = 0 everything around them, so that the difference of two runs counts the pairs alone.
   With a fourth argument the loop calls functions that do nothing: what the loop itself costs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIFO = 1600, HOT = 1024 };
static const size_t SPREAD = 16 << 20;

static void *(*volatile take)(size_t) = malloc;
static void (*volatile give)(void *) = free;

static char nothing[16];
static void *take_nothing(size_t size) { (void)size; return nothing; }
static void give_nothing(void *p) { (void)p; }

static uint64_t state = 88172645463325252u;
static inline uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* Replaces a random one of `live` blocks. */
static void replace(size_t live, size_t size, size_t ops) {
    void **table = calloc(live, sizeof *table);
    for (size_t i = 0; i < live; i++) table[i] = take(size);
    for (size_t i = 0; i < ops; i++) {
        size_t k = next() % live;
        give(table[k]);
        table[k] = take(size);
    }
    for (size_t i = 0; i < live; i++) give(table[i]);
    free(table);
}

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "usage: patterns pair|random|fifo|shuffle|spread SIZE OPS [nothing]\n"), 2;
    size_t size = strtoul(argv[2], NULL, 10), ops = strtoul(argv[3], NULL, 10);
    if (argc > 4) take = take_nothing, give = give_nothing;
    if (!strcmp(argv[1], "pair")) {
        for (size_t i = 0; i < ops; i++) give(take(size));
    } else if (!strcmp(argv[1], "random")) {
        replace(HOT, size, ops);
    } else if (!strcmp(argv[1], "spread")) {
        replace(SPREAD / size, size, ops);
    } else if (!strcmp(argv[1], "fifo")) {
        static void *ring[FIFO];
        for (size_t i = 0; i < ops; i++) {
            give(ring[i % FIFO]);
            ring[i % FIFO] = take(size);
        }
        for (size_t i = 0; i < FIFO; i++) give(ring[i]);
    } else if (!strcmp(argv[1], "shuffle")) { /* 1600 taken, then freed in random order */
        static void *all[FIFO];
        for (size_t done = 0; done < ops; done += FIFO) {
            for (size_t i = 0; i < FIFO; i++) all[i] = take(size);
            for (size_t i = FIFO; i-- > 0;) {
                size_t k = next() % (i + 1);
                void *p = all[k];
                all[k] = all[i];
                give(p);
            }
        }
    } else {
        return 2;
    }
    return 0;
}
