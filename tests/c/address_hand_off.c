/* Memory does not grow from cycle 3 to cycle 50 of: producers allocate, the consumer frees all of it.

   argv[1]: block size, 0 for mixed; argv[2]: stay (the producers live on), leave (new ones for each cycle), or leak: as
   leave, but every fourth block is kept, so that growth must be found. */
#include "threads.h"

enum { PRODUCERS = 4, CYCLES = 50, BYTES = 4 << 20 /* per producer and cycle */, MOST = BYTES / 16 };

static char **queue[PRODUCERS];
static size_t block_size;
static pthread_barrier_t barrier;
static int leave, leak;

static size_t count_of(void) { return block_size ? BYTES / block_size : BYTES / 1300; }
static size_t size_of(size_t i) { return block_size ? block_size : (size_t)16 << i % 9; }

static void produce(size_t number) {
    for (size_t i = 0; i < count_of(); i++) {
        char *block = malloc(size_of(i));
        CHECK(block != NULL, "no block of %zu", size_of(i));
        memset(block, 1, size_of(i));
        queue[number][i] = block;
    }
}

static void *one_cycle(void *number) {
    produce((size_t)number);
    return NULL;
}

static void *all_cycles(void *number) {
    for (int cycle = 1; cycle <= CYCLES; cycle++) {
        produce((size_t)number);
        pthread_barrier_wait(&barrier); /* full */
        pthread_barrier_wait(&barrier); /* all freed */
    }
    return NULL;
}

/* What the heap occupies: by its own figures where it has them, and by the kernel's. */
static size_t mapped_bytes(void) {
    if (!IS_THERE(mallctl)) return 0;
    uint64_t epoch = 1;
    size_t value = 0, length = sizeof value;
    CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0, "mallctl(epoch)");
    CHECK(mallctl("stats.mapped", &value, &length, NULL, 0) == 0, "mallctl(stats.mapped)");
    return value;
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: address_hand_off SIZE stay|leave|leak");
    block_size = strtoull(argv[1], NULL, 0);
    leak = !strcmp(argv[2], "leak");
    leave = leak || !strcmp(argv[2], "leave");
    pthread_t threads[PRODUCERS];
    pthread_barrier_init(&barrier, NULL, PRODUCERS + 1);
    for (int t = 0; t < PRODUCERS; t++) {
        queue[t] = malloc(MOST * sizeof(char *));
        memset(queue[t], 0, MOST * sizeof(char *));
    }
    if (!leave)
        for (size_t t = 0; t < PRODUCERS; t++) threads[t] = start(all_cycles, (void *)t);
    size_t early_peak = 0, late_peak = 0, early_mapped = 0, late_mapped = 0;
    for (int cycle = 1; cycle <= CYCLES; cycle++) {
        if (leave) {
            for (size_t t = 0; t < PRODUCERS; t++) threads[t] = start(one_cycle, (void *)t);
            for (int t = 0; t < PRODUCERS; t++) join(threads[t]);
        } else {
            pthread_barrier_wait(&barrier);
        }
        size_t full = resident_bytes(), mapped = mapped_bytes();
        for (size_t i = 0; i < count_of(); i++)
            for (int t = 0; t < PRODUCERS; t++)
                if (!leak || i % 4) free(queue[t][i]);
        if (!leave) pthread_barrier_wait(&barrier);
        if (cycle <= 3 && full > early_peak) early_peak = full;
        if (cycle <= 3 && mapped > early_mapped) early_mapped = mapped;
        if (cycle > 3 && full > late_peak) late_peak = full;
        if (cycle > 3 && mapped > late_mapped) late_mapped = mapped;
    }
    if (!leave)
        for (int t = 0; t < PRODUCERS; t++) join(threads[t]);
    printf("resident %zu KiB in cycles 1-3, %zu KiB after; mapped %zu, %zu\n", early_peak >> 10, late_peak >> 10,
           early_mapped >> 10, late_mapped >> 10);
    /* A tenth, and a few slabs per producer, are the slack for blocks in caches and a producer that runs ahead. */
    size_t slack = (size_t)2 << 20;
    CHECK(late_peak <= early_peak + early_peak / 10 + slack, "resident grows from %zu to %zu bytes", early_peak, late_peak);
    CHECK(late_mapped <= early_mapped + early_mapped / 10 + slack, "mapped grows from %zu to %zu bytes", early_mapped, late_mapped);
    CHECK(late_peak < (size_t)PRODUCERS * BYTES * 3, "%zu bytes resident for %d live", late_peak, PRODUCERS * BYTES);
    return 0;
}
