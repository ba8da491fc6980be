/* Threads that take what they can get under a limit on the heap, argv[1] MiB in the options: argv[2] threads, blocks of a server's sizes.
   argv[3]: hard (each is refused in the end: null with ENOMEM, nothing is lost, what is freed makes room) or soft (nothing
   is refused, and what was freed does not stay beyond the limit). */
#include "threads.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* As resident_bytes, without memory of the heap. */
static size_t resident_now(void) {
    char text[100] = "";
    int fd = open("/proc/self/statm", O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "no /proc/self/statm");
    close(fd);
    char *second = strchr(text, ' ');
    CHECK(second != NULL, "what /proc/self/statm says: %s", text);
    return strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

typedef struct { char *at; uint32_t size, seed; } block_t;
enum { MOST = 16 };
static size_t limit, each;
static block_t *tables[MOST];
static size_t counts[MOST];
static pthread_barrier_t step;

static uint32_t mixed_size(uint64_t *random) {
    uint64_t kind = next_random(random) % 100, r = next_random(random);
    if (kind < 60) return 16 + r % 113;
    if (kind < 90) return 129 + r % 896;
    if (kind < 99) return 1025 + r % 7168;
    return 8193 + r % 200000;
}

static int take(block_t *b, uint64_t *random, uint32_t most) {
    do b->size = mixed_size(random);
    while (b->size > most);
    b->seed = (uint32_t)next_random(random);
    errno = 0;
    b->at = malloc(b->size);
    if (!b->at) CHECK(errno == ENOMEM, "errno %d at the limit", errno);
    else fill(b->at, b->size, b->seed);
    return b->at != NULL;
}
static void drop(block_t *b) {
    CHECK(first_difference(b->at, b->size, b->seed) == b->size, "a block of %u changed", b->size);
    free(b->at);
    b->at = NULL;
}

static void *hard(void *number) {
    size_t i = (size_t)number, bytes = 0;
    uint64_t random = i + 1;
    block_t *table = tables[i];
    pthread_barrier_wait(&step); /* a thread's start needs memory too */
    for (int round = 0; round < 3; round++) {
        size_t n = 0;
        while (n < each && take(&table[n], &random, ~0u)) bytes += table[n++].size;
        CHECK(n < each, "nothing was refused");
        counts[i] = n;
        pthread_barrier_wait(&step); /* all are at the limit: main looks */
        pthread_barrier_wait(&step);
        /* What one thread frees makes room, in each round another one: for blocks that need no run of their own. */
        if (i == (size_t)round) {
            for (size_t b = 0; b < n; b += 2) drop(&table[b]);
            size_t again = 0;
            for (size_t b = 0; b < n && take(&table[b], &random, 1024); b += 2) again++;
            CHECK(again >= n / 8, "%zu blocks fit of %zu that were freed", again, n / 2);
        }
        pthread_barrier_wait(&step);
        for (size_t b = 0; b < n; b++)
            if (table[b].at) drop(&table[b]);
        pthread_barrier_wait(&step);
    }
    return NULL;
}

static void *soft(void *number) {
    size_t i = (size_t)number, bytes = 0, n = 0;
    uint64_t random = i + 1;
    block_t *table = tables[i];
    pthread_barrier_wait(&step); /* a thread's start needs memory too */
    for (; bytes < limit; n++) { /* every thread takes the whole limit */
        CHECK(take(&table[n], &random, ~0u), "refused under a soft limit");
        bytes += table[n].size;
    }
    for (size_t b = 0; b < n; b++)
        if (b % 8) drop(&table[b]);
    for (size_t b = 0; b < n; b++)
        if (table[b].at) drop(&table[b]);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 4, "usage: limit_heap MIB THREADS hard|soft");
    limit = strtoull(argv[1], NULL, 0) << 20;
    size_t threads = strtoull(argv[2], NULL, 0);
    int is_hard = !strcmp(argv[3], "hard");
    each = limit / 64;
    for (size_t i = 0; i < threads; i++)
        tables[i] = mmap(NULL, each * sizeof(block_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (on_oracle()) { /* glibc has no such limit */
        rlim_t stacks = threads << 23, lists = threads * each * sizeof(block_t);
        struct rlimit data = {limit + stacks + lists, limit + stacks + lists};
        if (is_hard) CHECK(setrlimit(RLIMIT_DATA, &data) == 0, "no limit: %s", strerror(errno));
    }
    pthread_t all[MOST];
    pthread_barrier_init(&step, NULL, (unsigned)threads + 1);
    size_t before = resident_now();
    for (size_t i = 0; i < threads; i++) all[i] = start(is_hard ? hard : soft, (void *)i);
    pthread_barrier_wait(&step);
    for (int round = 0; is_hard && round < 3; round++) {
        pthread_barrier_wait(&step);
        size_t tables_bytes = 0, now = resident_now();
        for (size_t i = 0; i < threads; i++) tables_bytes += counts[i] * sizeof(block_t) + 65536;
        size_t more = now > before + tables_bytes ? now - before - tables_bytes : 0;
        CHECK(on_oracle() || more <= limit + limit / 64, "%zu KiB more are resident", more >> 10);
        CHECK(more >= limit / 2, "refused with %zu KiB resident", more >> 10);
        CHECK(on_oracle() || malloc(limit) == NULL, "a block as large as the limit");
        for (int i = 0; i < 3; i++) pthread_barrier_wait(&step);
    }
    for (size_t i = 0; i < threads; i++) join(all[i]);
    void *large = malloc(limit / 2);
    CHECK(on_oracle() || large != NULL, "no block of %zu MiB when all is freed", limit / 2 >> 20);
    if (large) memset(large, 1, limit / 2);
    free(large);
    malloc_stats();
    return 0;
}
