/* Threads that never allocate free what main allocated; the memory must be there for main again. */
#include "threads.h"

enum { ROUNDS = 60, THREADS = 4, COUNT = 4000, SIZE = 1500 }; /* 24 MB a round, 1.4 GB in all */
static char *blocks[THREADS][COUNT];

static void *only_free(void *mine) {
    for (int i = 0; i < COUNT; i++) free(((char **)mine)[i]);
    return NULL;
}

int main(void) {
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        for (int t = 0; t < THREADS; t++)
            for (int i = 0; i < COUNT; i++) {
                blocks[t][i] = malloc(SIZE);
                CHECK(blocks[t][i] != NULL, "malloc is null");
                memset(blocks[t][i], 1, SIZE);
            }
        for (int t = 0; t < THREADS; t++) threads[t] = start(only_free, blocks[t]);
        for (int t = 0; t < THREADS; t++) join(threads[t]);
    }
    CHECK(resident_bytes() < (size_t)150 << 20, "%zu bytes resident after %d rounds of 24 MB", resident_bytes(), ROUNDS);
    return 0;
}
