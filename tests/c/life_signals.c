/* A signal handler allocates, resizes and frees while the code it interrupts runs outside the allocator: the signal is
   held off during calls of it. argv[1] signals; two threads take them. */
#include "threads.h"
#include <signal.h>

static atomic_int handled, stop;
static __thread load_t *in_handler;

static void handler(int signal) {
    (void)signal;
    int error = errno;
    for (int i = 0; i < 20; i++) load_step(in_handler);
    handled++;
    errno = error;
}

static void hold(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(how, &set, NULL);
}

static void *interrupted(void *number) {
    hold(SIG_BLOCK);
    load_t *load = calloc(1, sizeof *load);
    in_handler = calloc(1, sizeof *in_handler);
    CHECK(load && in_handler, "calloc is null");
    load->random = (uintptr_t)number;
    in_handler->random = (uintptr_t)number + 100;
    unsigned long sum = 0;
    while (!stop) {
        for (int i = 0; i < 5; i++) load_step(load);
        hold(SIG_UNBLOCK);
        for (int i = 0; i < 2000; i++) sum = sum * 31 + (unsigned long)i;
        hold(SIG_BLOCK);
    }
    load_end(load);
    load_end(in_handler);
    free(load);
    free(in_handler);
    return (void *)sum;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_signals COUNT");
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    hold(SIG_BLOCK);
    pthread_t threads[2];
    for (uintptr_t t = 0; t < 2; t++) threads[t] = start(interrupted, (void *)(t + 1));
    for (int i = 0; handled < atoi(argv[1]); i++) {
        CHECK(pthread_kill(threads[i % 2], SIGUSR1) == 0, "pthread_kill");
        usleep(30);
    }
    stop = 1;
    for (int t = 0; t < 2; t++) join(threads[t]);
    return 0;
}
