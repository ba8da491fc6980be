/* Handlers of fork allocate: this program's, and those of life_atfork_lib, whose constructor registered them before the
   allocator's. argv[1] forks while threads allocate. */
#include "threads.h"

extern int library_handlers; /* life_atfork_lib.c */
static atomic_int stop, handlers;
static char *across; /* taken before the fork, freed on both sides */

static void churn(void) {
    char *blocks[60];
    for (size_t i = 0; i < 60; i++) {
        blocks[i] = malloc(i * 700 + 1);
        CHECK(blocks[i] != NULL, "malloc is null in a handler");
        fill(blocks[i], i * 700 + 1, i);
    }
    for (size_t i = 0; i < 60; i++) {
        CHECK(first_difference(blocks[i], i * 700 + 1, i) == i * 700 + 1, "contents changed in a handler");
        free(blocks[i]);
    }
    handlers++;
}
static void before(void) {
    churn();
    across = malloc(3000);
    CHECK(across != NULL, "malloc is null in a handler");
    fill(across, 3000, 5);
}
static void after(void) {
    CHECK(first_difference(across, 3000, 5) == 3000, "contents changed over fork");
    free(across);
    churn();
}

static void *under_load(void *number) {
    load_t *load = calloc(1, sizeof *load);
    load->random = (uintptr_t)number;
    while (!stop) load_step(load);
    load_end(load);
    free(load);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_atfork TIMES");
    pthread_t threads[3];
    pthread_atfork(before, after, after);
    for (uintptr_t t = 0; t < 3; t++) threads[t] = start(under_load, (void *)(t + 1));
    for (int i = 0; i < atoi(argv[1]); i++) {
        int known = library_handlers;
        handlers = 0;
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            CHECK(handlers == 2 && library_handlers == known + 2, "%d and %d handlers ran", handlers, library_handlers - known);
            load_t load = {.random = (uint64_t)i};
            for (int step = 0; step < 500; step++) load_step(&load);
            load_end(&load);
            _exit(0);
        }
        child_succeeds(child, "fork with handlers that allocate");
    }
    stop = 1;
    for (int t = 0; t < 3; t++) join(threads[t]);
    return 0;
}
