/* Threads for the test programs. */
#ifndef THREADS_H
#define THREADS_H
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

__attribute__((unused)) static pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, argument);
    CHECK(error == 0, "pthread_create: %s", strerror(error));
    return thread;
}
__attribute__((unused)) static void *join(pthread_t thread) {
    void *result;
    int error = pthread_join(thread, &result);
    CHECK(error == 0, "pthread_join: %s", strerror(error));
    return result;
}

/* Waits for a child and checks that it exited with 0. */
__attribute__((unused)) static void child_succeeds(pid_t child, const char *what) {
    int status;
    CHECK(child > 0, "%s: %s", what, strerror(errno));
    CHECK(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: the child ended with status %#x", what, status);
}

__attribute__((unused)) static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* One thread's random work on a private set of blocks, with contents checked; also used in children. */
enum { LOAD_BLOCKS = 200 };
typedef struct {
    uint64_t random;
    struct { char *block; size_t size; } live[LOAD_BLOCKS];
} load_t;

__attribute__((unused)) static void load_step(load_t *load) {
    unsigned i = next_random(&load->random) % LOAD_BLOCKS;
    char *block = load->live[i].block;
    size_t size = load->live[i].size;
    if (block) CHECK(first_difference(block, size, i) == size, "contents of a block of %zu changed", size);
    uint64_t dice = next_random(&load->random) % 100;
    size_t next = next_random(&load->random) % (dice == 0 ? 200000 : dice < 10 ? 10000 : 500);
    if (dice % 4 == 3) {
        block = realloc(block, next + 1);
    } else {
        free(block);
        block = malloc(next + 1);
    }
    CHECK(block != NULL, "no block of %zu", next + 1);
    fill(block, next + 1, i);
    load->live[i].block = block;
    load->live[i].size = next + 1;
}
__attribute__((unused)) static void load_end(load_t *load) {
    for (int i = 0; i < LOAD_BLOCKS; i++) free(load->live[i].block);
    memset(load->live, 0, sizeof load->live);
}
#endif
