/* A block of argv[1] bytes that another thread freed is freed again in a forked child, while that thread sleeps. The parent ends as the
   child did. */
#include "misuse.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int freed;

static void *other(void *block) {
    free(block);
    freed = 1;
    pause();
    return NULL;
}

int main(int argc, char **argv) {
    void *block = some_block(argument(argc, argv, 1));
    announce(block, malloc_usable_size(block));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, other, hidden(block)) == 0, "no thread");
    while (!freed) usleep(100);
    pid_t child = fork();
    CHECK(child >= 0, "no fork");
    if (child == 0) {
        free(hidden(block));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child, "no child");
    if (WIFSIGNALED(status)) raise(WTERMSIG(status));
    return 0;
}
