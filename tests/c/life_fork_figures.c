/* A child of a busy program starts threads of its own (on the dead threads' stacks) and asks for figures. */
#include <malloc.h>
#include <stdint.h>
#include <sys/wait.h>
#include "threads.h"

static atomic_int stop;

static void churn(unsigned seed, int rounds) {
    static const int sizes[] = {16, 48, 64, 80, 128, 320, 512, 1024, 4096, 8192};
    void *blocks[400];
    for (int round = 0; rounds < 0 ? !stop : round < rounds; round++) {
        int n = 100 + rand_r(&seed) % 300, size = sizes[rand_r(&seed) % 10];
        for (int i = 0; i < n; i++) {
            blocks[i] = malloc(size);
            CHECK(blocks[i] != NULL, "malloc is null");
            memset(blocks[i], 1, size);
        }
        for (int i = 0; i < n; i++) free(blocks[i]);
    }
}

static void *for_ever(void *seed) {
    churn((unsigned)(uintptr_t)seed, -1);
    return NULL;
}

static void *a_while(void *seed) {
    churn((unsigned)(uintptr_t)seed, 30);
    return NULL;
}

int main(void) {
    pthread_t busy[3];
    for (int i = 0; i < 3; i++) busy[i] = start(for_ever, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork failed");
        if (child == 0) {
            pthread_t own[3];
            for (int k = 0; k < 3; k++) own[k] = start(a_while, (void *)(uintptr_t)(i + k));
            for (int k = 0; k < 3; k++) join(own[k]);
            (void)mallinfo2();
            malloc_trim(0);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0, "child %d ended with %x", i, status);
    }
    stop = 1;
    for (int i = 0; i < 3; i++) join(busy[i]);
    return 0;
}
