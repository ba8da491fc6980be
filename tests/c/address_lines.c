/* No 64-byte line is handed to two threads while both hold blocks in it.

   A thread holds a line from the malloc of a block that touches it until that block is freed, by whomever. The table
   of lines lies in memory of its own. argv[1]: seconds, argv[2]: seed, argv[3]: threads. */
#include "threads.h"
#include <sys/mman.h>

enum { LINE = 64, TABLE_BITS = 22, EXCHANGE = 512, HELD = 1500, LIFE = 20000 };

/* One entry per line ever seen: its number, and owner << 32 | blocks held in it. Never removed. */
typedef struct { atomic_uint_least64_t line, owner_and_count; } entry_t;
static entry_t *table;

typedef struct { char *start; size_t size; } block_t;
/* Blocks on their way to whichever thread looks here next. */
static struct { atomic_flag busy; block_t block; } exchange[EXCHANGE];
static atomic_int stop;
static atomic_uint_least32_t next_owner = 1;
static atomic_uint_least64_t operations;
static uint64_t seed;

static entry_t *entry_of(uint64_t line) {
    uint64_t at = line * 0x9e3779b97f4a7c15u >> (64 - TABLE_BITS);
    for (uint64_t tries = 0; tries < 1000; tries++, at = (at + 1) % (1u << TABLE_BITS)) {
        uint64_t found = table[at].line;
        if (found == 0 && atomic_compare_exchange_strong(&table[at].line, &found, line)) found = line;
        if (found == line) return &table[at];
    }
    CHECK(0, "the test's table of lines is full");
}

static void hold(block_t block, uint64_t owner) {
    uintptr_t last = ((uintptr_t)block.start + block.size - 1) / LINE;
    for (uintptr_t line = (uintptr_t)block.start / LINE; line <= last; line++) {
        entry_t *entry = entry_of(line);
        uint64_t old = entry->owner_and_count, wanted;
        do {
            uint32_t count = (uint32_t)old;
            CHECK(count == 0 || old >> 32 == owner,
                  "seed %llu: thread %llu got %p (%zu bytes) in line %#llx, where thread %llu holds %u blocks",
                  (unsigned long long)seed, (unsigned long long)owner, (void *)block.start, block.size,
                  (unsigned long long)line * LINE, (unsigned long long)(old >> 32), count);
            wanted = owner << 32 | (count + 1);
        } while (!atomic_compare_exchange_weak(&entry->owner_and_count, &old, wanted));
    }
}

static void let_go(block_t block) {
    uintptr_t last = ((uintptr_t)block.start + block.size - 1) / LINE;
    for (uintptr_t line = (uintptr_t)block.start / LINE; line <= last; line++)
        atomic_fetch_sub(&entry_of(line)->owner_and_count, 1);
}

static block_t take(uint64_t owner, uint64_t *random) {
    block_t block = {NULL, next_random(random) % (next_random(random) % 4 ? 200 : 1017) + 8};
    block.start = malloc(block.size);
    CHECK(block.start != NULL, "no block of %zu", block.size);
    hold(block, owner);
    return block;
}
static void give(block_t block) {
    if (!block.start) return;
    let_go(block);
    free(block.start);
}

static block_t swap(unsigned at, block_t mine) {
    while (atomic_flag_test_and_set(&exchange[at].busy)) sched_yield();
    block_t theirs = exchange[at].block;
    exchange[at].block = mine;
    atomic_flag_clear(&exchange[at].busy);
    return theirs;
}

static void *life(void *unused) {
    block_t *mine = mmap(NULL, HELD * sizeof *mine, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t owner = atomic_fetch_add(&next_owner, 1), random = seed + owner;
    for (int i = 0; i < LIFE && !stop; i++) {
        unsigned at = next_random(&random) % HELD;
        switch (next_random(&random) % 8) {
        case 0: case 1: case 2: /* hand a block on, free what another thread left */
            give(swap(next_random(&random) % EXCHANGE, take(owner, &random)));
            break;
        case 3:
            give(mine[at]);
            mine[at] = (block_t){NULL, 0};
            break;
        case 4: /* leave a hole in many lines */
            for (unsigned k = at; k < HELD && k < at + 100; k += 3) {
                give(mine[k]);
                mine[k] = (block_t){NULL, 0};
            }
            break;
        default:
            give(mine[at]);
            mine[at] = take(owner, &random);
        }
    }
    atomic_fetch_add(&operations, LIFE);
    for (unsigned i = 0; i < HELD; i++) /* half of what is left dies here, half later in other threads */
        give(i % 2 ? swap(next_random(&random) % EXCHANGE, mine[i]) : mine[i]);
    munmap(mine, HELD * sizeof *mine);
    return unused;
}

/* Keeps its place occupied by threads, one after the other. */
static void *lives(void *unused) {
    while (!stop) join(start(life, NULL));
    return unused;
}

int main(int argc, char **argv) {
    CHECK(argc == 4, "usage: address_lines SECONDS SEED THREADS");
    seed = strtoull(argv[2], NULL, 0);
    int count = atoi(argv[3]);
    pthread_t threads[64];
    CHECK(count > 0 && count <= 64, "%d threads", count);
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    table = mmap(NULL, sizeof *table << TABLE_BITS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(table != MAP_FAILED, "mmap: %s", strerror(errno));
    for (int t = 0; t < count; t++) threads[t] = start(lives, NULL);
    usleep((useconds_t)(atof(argv[1]) * 1e6));
    stop = 1;
    for (int t = 0; t < count; t++) join(threads[t]);
    printf("%llu steps, %u threads\n", (unsigned long long)operations, next_owner - 1);
    return 0;
}
