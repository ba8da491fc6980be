/* One run through everything that asks the system for memory, for a system that refuses: slabs, large objects, realloc
   in place, by moving and by copying, alignments, calloc, threads that begin, free and end, fork, growth, purges.
   A refusal is null with ENOMEM, and then every object alive is checked. argv[1]: how often; argv[2]: threads at once.
   argv[3], maps: with all mappings used up that a process may have.
   At the end the faults stop (`faults`): everything must work again, and all memory must have come back. */
#include "threads.h"
#include <sys/mman.h>
#include <sys/syscall.h>

enum { MOST = 4000 };
typedef struct { char *at; size_t size; uint64_t mark; } object_t;
typedef struct { object_t object[MOST]; int count; uint64_t random; uint64_t next_mark; } set_t;

static atomic_int refusals, no_thread;
static int calm; /* the faults have stopped: nothing may be refused */

/* Tells a tracer that faults may (1) or may not (0) happen; otherwise an unknown command, refused. */
static void faults(int wanted) { syscall(SYS_membarrier, 0x7ae70000 + wanted, 0, 0); }

/* Long objects are marked at both ends and in some places between. */
static size_t stride(size_t size) { return size < 32 * 4096 ? 4096 : size / 32; }
static void mark(object_t *o) {
    size_t edge = o->size < 512 ? o->size : 256;
    fill(o->at, edge, o->mark);
    if (o->size < 512) return;
    fill(o->at + o->size - 256, 256, o->mark + 1);
    for (size_t at = stride(o->size); at + 256 < o->size; at += stride(o->size)) memcpy(o->at + at, &o->mark, sizeof o->mark);
}
/* The first `kept` bytes of an object of `o->size` are as they were marked. */
static void check(const object_t *o, const char *at, size_t kept) {
    size_t edge = o->size < 512 ? o->size : 256;
    if (kept < edge) edge = kept;
    CHECK(first_difference(at, edge, o->mark) == edge, "an object of %zu at %p changed at its start", o->size, (void *)o->at);
    if (o->size < 512) return;
    if (kept >= o->size)
        CHECK(first_difference(at + o->size - 256, 256, o->mark + 1) == 256, "an object of %zu at %p changed at its end",
              o->size, (void *)o->at);
    for (size_t i = stride(o->size); i + 256 < o->size && i + 8 <= kept; i += stride(o->size))
        CHECK(!memcmp(at + i, &o->mark, sizeof o->mark), "an object of %zu at %p changed at %zu", o->size, (void *)o->at, i);
}
static void check_all(const set_t *set) {
    for (int i = 0; i < set->count; i++) check(&set->object[i], set->object[i].at, set->object[i].size);
}

static void refused(const set_t *set, const char *what, size_t size, int error) {
    CHECK(error == ENOMEM, "%s of %zu refused with errno %d", what, size, error);
    CHECK(!calm, "%s of %zu refused after the faults", what, size);
    refusals++;
    check_all(set);
}
static int keep(set_t *set, void *at, size_t size, const char *what) {
    if (!at) {
        refused(set, what, size, errno);
        return 0;
    }
    CHECK(set->count < MOST, "too many objects");
    object_t *o = &set->object[set->count++];
    *o = (object_t){at, size, set->next_mark += 3};
    mark(o);
    return 1;
}
static int take(set_t *set, size_t size) {
    errno = 0;
    return keep(set, malloc(size), size, "malloc");
}
static void take_zeroed(set_t *set, size_t size) {
    errno = 0;
    char *at = calloc(1, size);
    for (size_t i = 0; at && i < size; i += size < 5000 ? 1 : stride(size) / 8 + 61)
        CHECK(at[i] == 0, "byte %zu of calloc(%zu) is not zero", i, size);
    keep(set, at, size, "calloc");
}
static void take_aligned(set_t *set, size_t align, size_t size) {
    void *at = NULL;
    int error = posix_memalign(&at, align, size);
    if (error) refused(set, "posix_memalign", size, error);
    else {
        CHECK((uintptr_t)at % align == 0, "%p is not at %zu", at, align);
        keep(set, at, size, "posix_memalign");
    }
}
static void resize(set_t *set, int i, size_t size) {
    object_t *o = &set->object[i];
    errno = 0;
    char *at = realloc(o->at, size);
    if (!at) {
        refused(set, "realloc", size, errno);
        return;
    }
    check(o, at, size < o->size ? size : o->size);
    *o = (object_t){at, size, set->next_mark += 3};
    mark(o);
}
static void drop(set_t *set, int i) {
    object_t *o = &set->object[i];
    check(o, o->at, o->size);
    free(o->at);
    *o = set->object[--set->count];
}
static void drop_all(set_t *set) {
    while (set->count) drop(set, set->count - 1);
}

static void small_ones(set_t *set) {
    static const size_t sizes[] = {1, 40, 48, 64, 176, 250, 576, 1000, 1500, 5000, 32768};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int rounds = sizes[s] < 1024 ? 110 : 20, first = set->count; /* past the point where a class gets hot */
        for (int i = 0; i < rounds; i++) take(set, sizes[s]);
        for (int i = first; i < set->count; i += 2) drop(set, i);
        for (int i = 0; i < rounds / 2; i++) take_zeroed(set, sizes[s]);
        for (int i = first; i < set->count; i += 3) resize(set, i, sizes[s] * 3 / 2 + 1);
    }
    for (int i = 0; i < 300 && set->count; i++) drop(set, (int)(next_random(&set->random) % (uint64_t)set->count));
    for (size_t align = 32; align <= (size_t)1 << 20; align *= 8) take_aligned(set, align, align + 100);
}
static void large_ones(set_t *set) {
    for (size_t size = 40000; size < (size_t)9 << 20; size *= 5) {
        take(set, size);
        take_zeroed(set, size + 1000);
    }
    if (take(set, 100000)) { /* grows in place or by copying, then pages move, then it shrinks */
        int i = set->count - 1;
        for (size_t size = 200000; size < (size_t)9 << 20; size = size * 5 / 2) {
            resize(set, i, size);
            take(set, 70000);
        }
        resize(set, i, 3 << 20);
        resize(set, i, 90000);
        resize(set, i, 200);
    }
    for (int i = 0; i < 5 && set->count; i++) drop(set, set->count - 1);
    for (int i = 0; i < 4; i++) take_zeroed(set, 300000);
}

/* What was given back, or could not be, is zero where that is promised. */
static void dirty_then_zeroed(set_t *set) {
    static const struct { size_t size; int count; } rounds[] = {{300000, 6}, {(size_t)9 << 20, 1}};
    for (int r = 0; r < 2; r++) {
        size_t size = rounds[r].size;
        char *blocks[6];
        for (int i = 0; i < rounds[r].count; i++) {
            errno = 0;
            if (!(blocks[i] = malloc(size))) refused(set, "malloc", size, errno);
            else for (size_t at = 0; at < size; at += 1024) blocks[i][at] = 1;
        }
        for (int i = 0; i < rounds[r].count; i++) free(blocks[i]);
        malloc_trim(0);
        for (int i = 0; i < rounds[r].count; i++) {
            errno = 0;
            if (!(blocks[i] = calloc(1, size))) refused(set, "calloc", size, errno);
            else for (size_t at = 0; at < size; at += 1024) CHECK(blocks[i][at] == 0, "byte %zu of calloc(%zu) is not zero", at, size);
        }
        for (int i = 0; i < rounds[r].count; i++) free(blocks[i]);
    }
}

static atomic_int freed, trimmed;

static void *thread_work(void *pointer) {
    set_t *set = pointer;
    drop_all(set); /* of another thread: bytes enough to take stock more than once */
    freed++;
    while (!trimmed) usleep(50);
    small_ones(set);
    for (int i = 0; i < 6 && set->count; i++) drop(set, 0);
    return set; /* the rest is left to the starter */
}

/* A thread that cannot begin is a refusal too. */
static int begin(pthread_t *thread, set_t *set) {
    int error = pthread_create(thread, NULL, thread_work, set);
    if (error == 0) return 1;
    CHECK(error == EAGAIN || error == ENOMEM, "pthread_create: %s", strerror(error));
    CHECK(!calm, "no thread after the faults");
    no_thread++;
    return 0;
}

static set_t main_set, thread_set[8];

static void threads_work(int threads) {
    pthread_t thread[8];
    int running[8], started = 0;
    freed = trimmed = 0;
    for (int t = 0; t < threads; t++) {
        set_t *set = &thread_set[t];
        set->next_mark = (uint64_t)(t + 1) << 40;
        set->random = (uint64_t)t;
        for (int i = 0; i < 700; i++) take(set, i % 3 ? 48 : 200);
        started += running[t] = begin(&thread[t], set);
    }
    while (freed < started) usleep(50);
    malloc_trim(0); /* purges and releases what the others freed */
    trimmed = 1;
    for (int t = 0; t < threads; t++) {
        if (running[t]) join(thread[t]);
        check_all(&thread_set[t]);
        drop_all(&thread_set[t]);
    }
}

static void fork_work(set_t *set) {
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        check_all(set);
        for (int i = 0; i < set->count; i += 2) drop(set, i);
        small_ones(set);
        pthread_t thread;
        if (begin(&thread, &thread_set[0])) join(thread);
        drop_all(&thread_set[0]);
        large_ones(set);
        drop_all(set);
        _exit(0);
    }
    child_succeeds(child, "a child");
    check_all(set);
}

static size_t figure(const char *name) {
    size_t value = 0, length = sizeof value;
    if (!IS_THERE(mallctl)) return 0;
    uint64_t epoch = 1;
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    CHECK(mallctl(name, &value, &length, NULL, 0) == 0, "no figure %s", name);
    return value;
}

static void everything(int threads) {
    set_t *set = &main_set;
    small_ones(set);
    large_ones(set);
    threads_work(threads);
    fork_work(set);
    check_all(set);
    for (int i = 0; i < set->count; i += 2) drop(set, i);
    malloc_trim(0);
    check_all(set);
    dirty_then_zeroed(set);
    drop_all(set);
}

/* Every second page of a range becomes a mapping of its own until the system has no more. */
enum { MAPPINGS = 310000 };
static char *use_up_mappings(void) {
    char *range = mmap(NULL, (size_t)MAPPINGS * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(range != MAP_FAILED, "mmap: %s", strerror(errno));
    for (size_t i = 1; i < MAPPINGS; i += 2)
        if (mprotect(range + i * 4096, 4096, PROT_READ) != 0) {
            CHECK(errno == ENOMEM, "mprotect: %s", strerror(errno));
            return range;
        }
    CHECK(0, "%d mappings and no end", MAPPINGS);
}

int main(int argc, char **argv) {
    CHECK(argc == 3 || argc == 4, "usage: fault_run TIMES THREADS [maps]");
    int times = atoi(argv[1]), threads = atoi(argv[2]);
    CHECK(threads > 0 && threads <= 8, "%d threads", threads);
    char *volatile first = malloc(1); /* one that has no mapping yet when they are used up gets none */
    free(first);
    /* The C library keeps a table of about 300 bytes for each thread: its class must not depend on when the threads came. */
    for (int i = 0; i < 200; i++)
        for (size_t size = 256; size <= 384; size += 32) free(malloc(size));
    char *range = argc == 4 ? use_up_mappings() : NULL;
    for (int i = 0; i < times; i++) everything(threads);
    faults(0);
    if (range) CHECK(munmap(range, (size_t)MAPPINGS * 4096) == 0, "munmap: %s", strerror(errno));
    calm = 1;
    int during = refusals;
    everything(threads);
    malloc_trim(0);
    printf("%d refusals; %zu active, %zu allocated\n", during, figure("stats.active"), figure("stats.allocated"));
    return 0;
}
