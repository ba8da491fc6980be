/* In a group of processes that may hold argv[1] MiB: phases of three quarters of that, each in other sizes, allocated by
   one thread and freed by another. Whoever keeps what a phase has freed is ended by the kernel. */
#include "threads.h"

typedef struct { char **blocks; size_t count, size; } phase_t;

static void *make(void *pointer) {
    phase_t *phase = pointer;
    for (size_t i = 0; i < phase->count; i++) {
        phase->blocks[i] = malloc(phase->size);
        CHECK(phase->blocks[i] != NULL, "no block of %zu", phase->size);
        memset(phase->blocks[i], 1, phase->size);
        memcpy(phase->blocks[i], &i, sizeof i);
    }
    return NULL;
}

static void *end(void *pointer) {
    phase_t *phase = pointer;
    for (size_t i = 0; i < phase->count; i++) {
        CHECK(!memcmp(phase->blocks[i], &i, sizeof i), "a block of %zu changed", phase->size);
        free(phase->blocks[i]);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_cgroup MIB");
    static const size_t sizes[] = {64, 1 << 20, 48, 600, 20000, 4096, 100000, 128, 16000, 32};
    size_t bytes = strtoull(argv[1], NULL, 0) * 3 / 4 << 20;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t per = sizes[i] + sizeof(char *); /* the list of blocks is memory too */
            phase_t phase = {NULL, bytes / (per > 64 ? per : 64), sizes[i]};
            phase.blocks = malloc(phase.count * sizeof *phase.blocks);
            CHECK(phase.blocks != NULL, "no list");
            join(start(make, &phase));
            join(start(end, &phase));
            free(phase.blocks);
        }
    }
    return 0;
}
