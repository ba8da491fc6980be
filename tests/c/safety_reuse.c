/* A freed block of argv[1] bytes is not handed out again within argv[2] more pairs of malloc and free. argv[3]: thread (in a thread's last moment). */
#include "check.h"
#include <pthread.h>

static size_t size, pairs;

static void look(void *unused) {
    (void)unused;
    void *first = malloc(size);
    uintptr_t was = (uintptr_t)first;
    free(first);
    for (size_t i = 0; i < pairs; i++) {
        void *p = malloc(size);
        CHECK((uintptr_t)p != was, "handed out again after %zu", i);
        free(p);
    }
}

static pthread_key_t key;
static int turn;

/* The library's own destructor may run before this one; from the second round on it has. */
static void last_moment(void *value) {
    if (++turn < 3) CHECK(pthread_setspecific(key, value) == 0, "setspecific");
    else look(NULL);
}

static void *run(void *value) {
    free(malloc(1));
    CHECK(pthread_setspecific(key, value) == 0, "setspecific");
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 4, "usage");
    size = strtoull(argv[1], NULL, 0), pairs = strtoull(argv[2], NULL, 0);
    if (strcmp(argv[3], "thread")) return look(NULL), 0;
    pthread_t thread;
    CHECK(pthread_key_create(&key, last_moment) == 0, "key");
    CHECK(pthread_create(&thread, NULL, run, &key) == 0, "thread");
    CHECK(pthread_join(thread, NULL) == 0, "join");
    CHECK(turn == 3, "%d turns", turn);
    return 0;
}
