/* fork argv[1] times while threads allocate, in bursts too, and while threads begin and end. The child frees the
   parent's blocks, allocates with contents checked, starts a thread, forks again: whatever the other threads were
   doing, no block may come twice. argv[2]: fork, or without handlers of pthread_atfork: _Fork, clone, clone3. */
#include "threads.h"
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>

enum { SHARED = 300, BURST = 700 };
static atomic_int stop;
static char *shared[SHARED];

/* Many blocks of one size, then all freed: caches grow, overflow and shrink. */
static void burst(uint64_t *random) {
    static _Thread_local char *blocks[BURST];
    size_t size = next_random(random) % (next_random(random) % 4 ? 200 : 5000) + 8;
    size_t count = next_random(random) % BURST;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL, "no block of %zu", size);
        memcpy(blocks[i], &i, sizeof i);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(!memcmp(blocks[i], &i, sizeof i), "block %zu of %zu, of %zu bytes each, came twice", i, count, size);
        free(blocks[i]);
    }
}

static void *steady(void *number) {
    load_t *load = calloc(1, sizeof *load);
    load->random = (uintptr_t)number;
    while (!stop) load_step(load);
    load_end(load);
    free(load);
    return NULL;
}

static void *bursts(void *number) {
    uint64_t random = (uintptr_t)number;
    while (!stop) burst(&random);
    return NULL;
}

static void *little_work(void *number) {
    load_t *load = calloc(1, sizeof *load);
    load->random = (uintptr_t)number;
    for (int i = 0; i < 300; i++) load_step(load);
    for (int i = 0; i < 6; i++) burst(&load->random);
    load_end(load);
    free(load);
    return NULL;
}

static void *short_lives(void *number) {
    for (uintptr_t n = (uintptr_t)number; !stop; n += 1000) join(start(little_work, (void *)n));
    return NULL;
}

static void in_child(pid_t (*fork_now)(void), int with_thread, uintptr_t number) {
    alarm(20); /* a deadlock shows as a signal */
    for (int i = 0; i < SHARED; i++) {
        size_t size = (size_t)i * 37 + 1;
        CHECK(first_difference(shared[i], size, (uint64_t)i) == size, "the parent's block %d changed", i);
        free(shared[i]);
    }
    little_work((void *)number);
    if (with_thread) join(start(little_work, (void *)number));
    pid_t grandchild = fork_now();
    if (grandchild == 0) {
        alarm(20);
        little_work((void *)number);
        _exit(0);
    }
    child_succeeds(grandchild, "fork in a child");
    _exit(0);
}

/* The C library knows nothing of these children. */
static pid_t raw_clone(void) { return (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L); }
static pid_t raw_clone3(void) {
    struct clone_args args = {.exit_signal = SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: life_fork TIMES fork|_Fork|clone|clone3");
    static const struct { const char *name; pid_t (*call)(void); } ways[] = {
        {"fork", fork}, {"_Fork", _Fork}, {"clone", raw_clone}, {"clone3", raw_clone3}};
    int times = atoi(argv[1]), raw = strcmp(argv[2], "fork") != 0;
    pid_t (*fork_now)(void) = NULL;
    for (int i = 0; i < 4; i++)
        if (!strcmp(argv[2], ways[i].name)) fork_now = ways[i].call;
    CHECK(fork_now != NULL, "no way to fork is called %s", argv[2]);
    void *(*const bodies[])(void *) = {steady, bursts, short_lives};
    pthread_t threads[3];
    int count = raw && on_oracle() ? 0 : 3; /* on glibc, nothing may be allocated after a _Fork among threads */
    for (int t = 0; t < count; t++) threads[t] = start(bodies[t], (void *)(uintptr_t)(t + 1));
    for (int i = 0; i < SHARED; i++) {
        shared[i] = malloc((size_t)i * 37 + 1);
        CHECK(shared[i] != NULL, "malloc is null");
        fill(shared[i], (size_t)i * 37 + 1, (uint64_t)i);
    }
    for (int i = 0; i < times; i++) {
        pid_t child = fork_now();
        if (child == 0) in_child(fork_now, !raw, (uintptr_t)i);
        child_succeeds(child, argv[2]);
        little_work((void *)(uintptr_t)i);
    }
    stop = 1;
    for (int t = 0; t < count; t++) join(threads[t]);
    return 0;
}
