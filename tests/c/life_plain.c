/* A program of moderate size, for runs under tools: some threads, some memory, one result on stdout. */
#include "threads.h"

enum { THREADS = 3, STEPS = 4000 };

static void *body(void *number) {
    load_t *load = calloc(1, sizeof *load);
    CHECK(load != NULL, "calloc is null");
    load->random = (uintptr_t)number;
    for (int i = 0; i < STEPS; i++) load_step(load);
    size_t held = 0;
    for (int i = 0; i < LOAD_BLOCKS; i++) held += load->live[i].size;
    load_end(load);
    free(load);
    return (void *)held;
}

int main(void) {
    pthread_t threads[THREADS];
    size_t sum = 0;
    for (uintptr_t t = 0; t < THREADS; t++) threads[t] = start(body, (void *)(t + 1));
    for (int t = 0; t < THREADS; t++) sum += (size_t)join(threads[t]);
    printf("%zu\n", sum);
    return 0;
}
