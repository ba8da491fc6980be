// Memory: what 2000 threads with 64 small objects each cost, and what dormant threads keep. One process per row.
#include "cache.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 2000, OBJECTS = 64, SLEEPERS = 64 };
static const struct variant variants[] = VARIANT_TABLE;
static const struct variant *v; // NULL: malloc compiled out
static pthread_barrier_t arrived, leave;
static size_t one_size;
static struct thread_cache *caches[SLEEPERS];

static size_t rss(void) {
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f)) if (sscanf(line, "Rss: %zu", &kib) == 1) break;
    if (f) fclose(f);
    return kib * 1024;
}
static size_t object_size(long thread, int i) { return one_size ? one_size : 16 + ((size_t)thread * 2654435761u + i * 40503u) % 241; }
static void *few_objects(void *arg) {
    for (int i = 0; i < OBJECTS; i++) {
        size_t n = object_size((long)arg, i);
        if (v) memset(v->malloc(n), 1, n);
    }
    pthread_barrier_wait(&arrived);
    pthread_barrier_wait(&leave);
    return NULL;
}
static size_t row_of_threads(const struct variant *variant, size_t size, int hot, int round) {
    int out[2];
    size_t result = 0;
    if (pipe(out)) exit(1);
    if (!fork()) {
        v = variant, one_size = size;
        if (v) v->options(hot, round);
        pthread_barrier_init(&arrived, NULL, THREADS + 1);
        pthread_barrier_init(&leave, NULL, THREADS + 1);
        pthread_attr_t a;
        pthread_attr_init(&a);
        pthread_attr_setstacksize(&a, 65536);
        pthread_t t;
        for (long i = 0; i < THREADS; i++) if (pthread_create(&t, &a, few_objects, (void *)i)) _exit(1);
        pthread_barrier_wait(&arrived);
        result = rss();
        if (write(out[1], &result, sizeof result) < 0) _exit(1);
        _exit(0);
    }
    if (read(out[0], &result, sizeof result) != sizeof result) exit(1);
    wait(NULL);
    close(out[0]), close(out[1]);
    return result;
}
static void *burst_then_sleep(void *arg) {
    static const size_t sizes[] = {16, 32, 48, 64, 128, 256, 512, 1024};
    for (int s = 0; s < 8; s++) {
        void *p[300];
        for (int k = 0; k < 300; k++) p[k] = v->malloc(sizes[s]);
        for (int k = 0; k < 300; k++) v->free(p[k]);
    }
    caches[(long)arg] = v->self();
    pthread_barrier_wait(&arrived);
    pthread_barrier_wait(&leave);
    return NULL;
}
static void dormant(const struct variant *variant) {
    fflush(stdout);
    if (fork()) { wait(NULL); return; }
    v = variant;
    pthread_barrier_init(&arrived, NULL, SLEEPERS + 1);
    pthread_barrier_init(&leave, NULL, SLEEPERS + 1);
    pthread_t t;
    for (long i = 0; i < SLEEPERS; i++) if (pthread_create(&t, NULL, burst_then_sleep, (void *)i)) _exit(1);
    pthread_barrier_wait(&arrived);
    int per_thread = strcmp(v->name, "percpu") != 0, n = per_thread ? SLEEPERS : 1;
    size_t before = 0, after = 0, taken = 0;
    for (int i = 0; i < n; i++) before += v->stranded(caches[i]);
    printf("  %-8s %8.1f KiB in %d threads (%.1f each)", v->name, before / 1024., SLEEPERS, before / 1024. / SLEEPERS);
    if (strcmp(v->name, "plain") != 0) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        static void *out[65536];
        for (int i = 0; i < n; i++) for (unsigned c = 1; c <= 32; c++) taken += v->drain(caches[i], c, out, 65536);
        clock_gettime(CLOCK_MONOTONIC, &b);
        for (int i = 0; i < n; i++) after += v->stranded(caches[i]);
        double us = (b.tv_sec - a.tv_sec) * 1e6 + (b.tv_nsec - a.tv_nsec) * 1e-3;
        printf("; drained from outside: %zu blocks, %.1f KiB left, %.0f us", taken, after / 1024., us);
    }
    puts("");
    fflush(stdout);
    _exit(0);
}
int main(int argc, char **argv) {
    static const struct { const char *name; size_t size; } patterns[] = {{"16-256 B mixed", 0}, {"64 B", 64}, {"16 B", 16}};
    static const struct { const char *name; int hot, round; } rules[] = {
        {"a window at first use", 0, 0}, {"cold first (64), line groups", 64, 0}, {"cold first (64), odd sizes rounded up", 64, 1}};
    if (argc < 2) printf("%d threads (64 KiB stacks), %d objects each: bytes per thread beyond its objects and beyond the program without malloc\n", THREADS, OBJECTS);
    int only_dormant = argc > 1 && !strcmp(argv[1], "dormant");
    for (int k = only_dormant ? 3 : 0; k < 3; k++) {
        one_size = patterns[k].size;
        size_t objects = 0;
        for (long i = 0; i < THREADS; i++) for (int j = 0; j < OBJECTS; j++) objects += object_size(i, j);
        size_t none = row_of_threads(NULL, one_size, 0, 0);
        printf("  %s, %zu bytes of objects\n", patterns[k].name, objects / THREADS);
        for (int i = 0; i < 3; i++)
            for (int r = 0; r < (i == 2 ? 1 : 3); r++) { // per CPU has no cold state
                size_t got = row_of_threads(&variants[i], patterns[k].size, rules[r].hot, rules[r].round);
                printf("    %-8s %-40s %7ld\n", variants[i].name, i == 2 ? "" : rules[r].name, ((long)got - (long)none - (long)objects) / THREADS);
            }
        fflush(stdout);
    }
    puts("blocks kept by threads that used 8 classes (16-1024 B, 300 each) and sleep");
    for (int i = 0; i < 3; i++) dormant(&variants[i]);
}
