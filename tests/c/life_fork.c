/* fork argv[1] times while threads allocate. The child frees the parent's blocks, allocates, starts a thread, forks
   again. argv[2]: fork, or raw (_Fork: no handler of pthread_atfork runs). */
#include "threads.h"

enum { THREADS = 3, SHARED = 300 };
static atomic_int stop;
static char *shared[SHARED];

static void *under_load(void *number) {
    load_t *load = calloc(1, sizeof *load);
    load->random = (uintptr_t)number;
    while (!stop) load_step(load);
    load_end(load);
    free(load);
    return NULL;
}

static void *little_work(void *unused) {
    load_t *load = calloc(1, sizeof *load);
    for (int i = 0; i < 300; i++) load_step(load);
    load_end(load);
    free(load);
    return unused;
}

static void in_child(pid_t (*fork_now)(void), int with_thread) {
    alarm(20); /* a deadlock shows as a signal */
    for (int i = 0; i < SHARED; i++) {
        size_t size = (size_t)i * 37 + 1;
        CHECK(first_difference(shared[i], size, (uint64_t)i) == size, "the parent's block %d changed", i);
        free(shared[i]);
    }
    little_work(NULL);
    if (with_thread) join(start(little_work, NULL));
    pid_t grandchild = fork_now();
    if (grandchild == 0) {
        alarm(20);
        little_work(NULL);
        _exit(0);
    }
    child_succeeds(grandchild, "fork in a child");
    _exit(0);
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: life_fork TIMES fork|raw");
    int times = atoi(argv[1]), raw = !strcmp(argv[2], "raw");
    /* On glibc, nothing may be allocated after a _Fork among threads. */
    int threads = raw && on_oracle() ? 0 : THREADS;
    pid_t (*fork_now)(void) = raw ? _Fork : fork;
    pthread_t loaded[THREADS];
    for (int t = 0; t < threads; t++) loaded[t] = start(under_load, (void *)(uintptr_t)(t + 1));
    for (int i = 0; i < SHARED; i++) {
        shared[i] = malloc((size_t)i * 37 + 1);
        CHECK(shared[i] != NULL, "malloc is null");
        fill(shared[i], (size_t)i * 37 + 1, (uint64_t)i);
    }
    for (int i = 0; i < times; i++) {
        pid_t child = fork_now();
        if (child == 0) in_child(fork_now, !raw);
        child_succeeds(child, argv[2]);
        little_work(NULL);
    }
    stop = 1;
    for (int t = 0; t < threads; t++) join(loaded[t]);
    return 0;
}
