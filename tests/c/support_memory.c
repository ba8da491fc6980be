/* What stays resident when a program has freed its memory and sleeps. Blocks of a server's sizes: 60 % to 128 B, 30 % to
   1 KiB, 9 % to 8 KiB, 1 % to 64 KiB. argv: dormant | freed | sparse, number of further threads that sleep, milliseconds
   to sleep, most KiB above what the program itself needs (sparse: most percent of the live bytes). */
#include "threads.h"
#include <semaphore.h>
#include <sys/mman.h>
#include <time.h>

typedef struct { char *at; uint32_t size, seed; } block_t;
static sem_t filled, hold;
static uint64_t live;

static uint32_t mixed_size(uint64_t *random) {
    uint64_t kind = next_random(random) % 100, r = next_random(random);
    if (kind < 60) return 16 + r % 113;
    if (kind < 90) return 129 + r % 896;
    if (kind < 99) return 1025 + r % 7168;
    return 8193 + r % 57344;
}

static void *table(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(at != MAP_FAILED, "no table");
    return at;
}

static size_t fill_table(block_t *blocks, size_t most, uint64_t bytes, uint64_t seed) {
    size_t n = 0;
    for (uint64_t random = seed, total = 0; total < bytes && n < most; n++) {
        block_t *b = &blocks[n];
        b->size = mixed_size(&random);
        b->seed = (uint32_t)next_random(&random);
        b->at = malloc(b->size);
        CHECK(b->at, "malloc is null");
        fill(b->at, b->size, b->seed);
        total += b->size;
    }
    return n;
}

static void check_and_free(block_t *b) {
    CHECK(first_difference(b->at, b->size, b->seed) == b->size, "a block of %u changed", b->size);
    free(b->at);
    b->at = NULL;
}

enum { OWNERS = 8, EACH = 200000 };
static block_t *owned[OWNERS];
static size_t counts[OWNERS];

static void *owner(void *number) {
    size_t i = (size_t)number;
    counts[i] = fill_table(owned[i], EACH, 40 << 20, i + 1);
    sem_post(&filled);
    sem_wait(&hold);
    return NULL;
}
static void *sleeper(void *unused) {
    free(hidden(malloc(10)));
    sem_post(&filled);
    sem_wait(&hold);
    return unused;
}

static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) && errno == EINTR) {}
}

/* Bytes resident beyond `own`, once they are at most `enough`, or after `ms`: a busy machine takes its time. */
static size_t settled(size_t own, size_t enough, long ms) {
    for (long waited = 0;; waited += 100) {
        size_t now = resident_bytes(), more = now > own ? now - own : 0;
        if (more <= enough || waited >= ms) return more;
        sleep_ms(100);
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 5, "usage: support_memory dormant|freed|sparse SLEEPERS MS LIMIT");
    int sleepers = atoi(argv[2]);
    size_t limit = strtoul(argv[4], NULL, 10);
    sem_init(&filled, 0, 0);
    sem_init(&hold, 0, 0);
    for (int i = 0; i < sleepers; i++) start(sleeper, NULL);
    for (int i = 0; i < sleepers; i++) sem_wait(&filled);
    if (!strcmp(argv[1], "dormant")) {
        for (size_t i = 0; i < OWNERS; i++) owned[i] = table(EACH * sizeof(block_t));
        size_t own = resident_bytes();
        for (size_t i = 0; i < OWNERS; i++) start(owner, (void *)i);
        for (size_t i = 0; i < OWNERS; i++) sem_wait(&filled);
        for (size_t i = 0; i < OWNERS; i++)
            for (size_t b = 0; b < counts[i]; b++) check_and_free(&owned[i][b]);
        size_t more = settled(own, limit << 10, atol(argv[3])) / 1024;
        printf("dormant: %zu KiB more than before\n", more);
        CHECK(more <= limit, "%zu KiB more than the program's own, at most %zu", more, limit);
        return 0;
    }
    size_t most = 1200000;
    block_t *blocks = table(most * sizeof *blocks);
    size_t own = resident_bytes(), n = fill_table(blocks, most, 600 << 20, 99);
    int sparse = !strcmp(argv[1], "sparse");
    uint64_t random = 7;
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    for (size_t b = 0; b < n; b++) {
        if (sparse && next_random(&random) % 100 < 15) live += blocks[b].size;
        else check_and_free(&blocks[b]);
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    size_t more = settled(own, sparse ? live / 100 * limit : limit << 10, atol(argv[3]));
    printf("%s: freed in %.0f ms, %zu KiB more than before, live %llu KiB\n", argv[1],
           (t1.tv_sec - t0.tv_sec) * 1e3 + (t1.tv_nsec - t0.tv_nsec) / 1e6, more / 1024, (unsigned long long)live / 1024);
    if (sparse) {
        CHECK(more * 100 <= live * limit, "%zu KiB resident for %llu live", more / 1024, (unsigned long long)live / 1024);
        for (size_t b = 0; b < n; b++)
            if (blocks[b].at) check_and_free(&blocks[b]);
    } else {
        CHECK(more / 1024 <= limit, "%zu KiB more than the program's own, at most %zu", more / 1024, limit);
    }
    return 0;
}
