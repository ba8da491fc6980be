/* SIGSEGV that is sent, not caused by an access: safety_signal HOW. It must end the program as without the library.
   HOW: raise, kill (by a child), thread (sent to another one), queue; ignored: the program starts with the signal ignored, survives
   a sent one and prints a line, then is ended by an access. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static void *waits(void *unused) {
    free(hidden(malloc(100)));
    for (;;) pause();
    return unused;
}

int main(int argc, char **argv) {
    CHECK(argc == 2 || argc == 3, "arguments");
    free(hidden(malloc(100)));
    if (!strcmp(argv[1], "raise")) raise(SIGSEGV);
    if (!strcmp(argv[1], "queue")) sigqueue(getpid(), SIGSEGV, (union sigval){.sival_int = 1});
    if (!strcmp(argv[1], "kill")) {
        pid_t child = fork();
        if (child == 0) _exit(kill(getppid(), SIGSEGV));
        waitpid(child, NULL, 0);
    }
    if (!strcmp(argv[1], "thread")) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, waits, NULL) == 0, "no thread");
        pthread_kill(thread, SIGSEGV);
        pthread_join(thread, NULL);
    }
    if (!strcmp(argv[1], "ignored")) {
        if (argc == 2) {
            signal(SIGSEGV, SIG_IGN);
            execl("/proc/self/exe", argv[0], argv[1], "again", NULL);
            CHECK(0, "execl");
        }
        for (int i = 0; i < 3; i++) raise(SIGSEGV);
        dprintf(1, "alive\n");
        *(volatile int *)hidden((void *)8) = 1;
    }
    dprintf(1, "survived\n");
    return 0;
}
