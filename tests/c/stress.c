/* Random work of many threads on all sizes and functions, with contents checked; blocks go from thread to thread.
   argv[1]: seconds, argv[2]: seed, argv[3]: threads. */
#include "threads.h"

enum { HELD = 128, EXCHANGE = 256, LIFE = 4000 };
#define BUDGET ((size_t)600 << 20) /* bytes live at once, all threads together */

typedef struct { char *start; size_t size; uint64_t mark; } block_t;
static struct { atomic_flag busy; block_t block; } exchange[EXCHANGE];
static atomic_int stop;
static atomic_size_t live_bytes, operations;
static atomic_uint_least64_t thread_number = 1;
static uint64_t seed;

/* The ends are checked always, the middle of long blocks in places. */
static void mark(block_t *block, uint64_t value) {
    block->mark = value;
    if (block->size <= 4096) {
        fill(block->start, block->size, value);
        return;
    }
    fill(block->start, 256, value);
    fill(block->start + block->size - 256, 256, value);
    for (size_t at = 4096; at < block->size - 256; at += 4096) block->start[at] = (char)value;
}
static void check_bytes(const char *start, size_t size, size_t whole, uint64_t value) {
    if (whole <= 4096) {
        size_t kept = size < whole ? size : whole, at = first_difference(start, kept, value);
        CHECK(at == kept, "seed %llu: byte %zu of %zu changed at %p", (unsigned long long)seed, at, kept, (const void *)start);
        return;
    }
    size_t front = size < 256 ? size : 256;
    CHECK(first_difference(start, front, value) == front, "seed %llu: the start of %zu bytes at %p changed",
          (unsigned long long)seed, whole, (const void *)start);
    for (size_t at = 4096; at < whole - 256 && at < size; at += 4096)
        CHECK(start[at] == (char)value, "seed %llu: byte %zu of %zu at %p changed", (unsigned long long)seed, at, whole,
              (const void *)start);
    if (size >= whole)
        CHECK(first_difference(start + whole - 256, 256, value) == 256, "seed %llu: the end of %zu bytes at %p changed",
              (unsigned long long)seed, whole, (const void *)start);
}

static size_t some_size(uint64_t *random) {
    uint64_t dice = next_random(random) % 1000;
    size_t limit = dice < 700 ? 256 : dice < 900 ? 2048 : dice < 980 ? 40000 : dice < 998 ? 300000 : 4 << 20;
    return next_random(random) % limit + 1;
}

static void drop(block_t *block) {
    if (!block->start) return;
    check_bytes(block->start, block->size, block->size, block->mark);
    live_bytes -= block->size;
    free(block->start);
    block->start = NULL;
}

static void take(block_t *block, uint64_t *random) {
    drop(block);
    size_t size = some_size(random), align = 16;
    if (live_bytes + size > BUDGET) return;
    switch (next_random(random) % 8) {
    case 0: {
        block->start = calloc(1, size);
        for (size_t i = 0; block->start && i < size; i += size < 5000 ? 1 : 509)
            CHECK(block->start[i] == 0, "seed %llu: byte %zu of calloc(%zu) is not zero", (unsigned long long)seed, i, size);
        break;
    }
    case 1:
        align = (size_t)1 << next_random(random) % 14;
        block->start = memalign(align, size);
        break;
    case 2:
        align = (size_t)8 << next_random(random) % 8;
        CHECK(posix_memalign((void **)&block->start, align, size) == 0, "posix_memalign(%zu, %zu)", align, size);
        break;
    default:
        block->start = malloc(size);
    }
    CHECK(block->start != NULL, "seed %llu: no block of %zu", (unsigned long long)seed, size);
    CHECK((uintptr_t)block->start % align == 0, "seed %llu: %p is not at %zu", (unsigned long long)seed, (void *)block->start, align);
    CHECK(malloc_usable_size(block->start) >= size, "usable size of %zu", size);
    block->size = size;
    live_bytes += size;
    mark(block, next_random(random));
}

static void resize(block_t *block, uint64_t *random) {
    size_t size = next_random(random) % 3 ? some_size(random) : block->size + block->size / 4 + 1;
    if (!block->start || live_bytes + size > BUDGET || size > 8 << 20) return;
    char *moved = realloc(block->start, size);
    CHECK(moved != NULL, "seed %llu: realloc to %zu is null", (unsigned long long)seed, size);
    check_bytes(moved, size, block->size, block->mark);
    live_bytes += size - block->size;
    block->start = moved;
    block->size = size;
    mark(block, next_random(random));
}

static void hand_over(block_t *block, uint64_t *random) {
    unsigned at = next_random(random) % EXCHANGE;
    while (atomic_flag_test_and_set(&exchange[at].busy)) sched_yield();
    block_t theirs = exchange[at].block;
    exchange[at].block = *block;
    atomic_flag_clear(&exchange[at].busy);
    *block = theirs;
}

static void *life(void *unused) {
    block_t mine[HELD] = {0};
    uint64_t random = seed + thread_number++ * 1000003;
    uint64_t length = next_random(&random) % LIFE;
    for (uint64_t i = 0; i < length && !stop; i++) {
        block_t *block = &mine[next_random(&random) % HELD];
        switch (next_random(&random) % 8) {
        case 0: case 1: case 2: take(block, &random); break;
        case 3: drop(block); break;
        case 4: resize(block, &random); break;
        default: hand_over(block, &random);
        }
    }
    operations += length;
    for (int i = 0; i < HELD; i++) drop(&mine[i]);
    return unused;
}

static void *lives(void *unused) {
    while (!stop) join(start(life, NULL));
    return unused;
}

int main(int argc, char **argv) {
    CHECK(argc == 4, "usage: stress SECONDS SEED THREADS");
    pthread_t threads[64];
    seed = strtoull(argv[2], NULL, 0);
    int count = atoi(argv[3]);
    CHECK(count > 0 && count <= 64, "%d threads", count);
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    for (int t = 0; t < count; t++) threads[t] = start(lives, NULL);
    usleep((useconds_t)(atof(argv[1]) * 1e6));
    stop = 1;
    for (int t = 0; t < count; t++) join(threads[t]);
    for (int i = 0; i < EXCHANGE; i++) drop(&exchange[i].block);
    CHECK(live_bytes == 0, "%zu bytes left", (size_t)live_bytes);
    printf("%zu steps, %llu threads\n", (size_t)operations, (unsigned long long)thread_number - 1);
    return 0;
}
