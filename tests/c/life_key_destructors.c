/* Destructors of thread-specific keys allocate and free again, round after round, some after the allocator's own. */
#include "threads.h"

enum { KEYS = 40, THREADS = 50 }; /* past the keys that glibc keeps inside the thread */
static pthread_key_t keys[KEYS];
static atomic_int runs;

typedef struct { int key, round; char *block; } value_t;

static void set(int key, int round) {
    value_t *value = malloc(sizeof *value);
    CHECK(value != NULL, "malloc is null");
    value->key = key;
    value->round = round;
    value->block = malloc(100 + (size_t)key * 300);
    CHECK(value->block != NULL, "malloc is null");
    fill(value->block, 100 + (size_t)key * 300, (uint64_t)key);
    CHECK(pthread_setspecific(keys[key], value) == 0, "pthread_setspecific");
}

static void at_exit(void *pointer) {
    value_t *value = pointer;
    int key = value->key, round = value->round;
    size_t size = 100 + (size_t)key * 300;
    CHECK(first_difference(value->block, size, (uint64_t)key) == size, "contents changed in a destructor");
    value->block = realloc(value->block, size * 5);
    CHECK(value->block && first_difference(value->block, size, (uint64_t)key) == size, "realloc in a destructor");
    free(value->block);
    free(value);
    void *many[500];
    for (int i = 0; i < 500; i++) CHECK((many[i] = malloc(48)) != NULL, "malloc is null");
    for (int i = 0; i < 500; i++) free(many[i]);
    atomic_fetch_add(&runs, 1);
    if (round < 3) set(key, round + 1); /* PTHREAD_DESTRUCTOR_ITERATIONS is 4 */
}

static void *body(void *unused) {
    for (int key = 0; key < KEYS; key++) set(key, 0);
    return unused;
}

int main(void) {
    for (int key = 0; key < KEYS; key++) CHECK(pthread_key_create(&keys[key], at_exit) == 0, "pthread_key_create");
    for (int i = 0; i < THREADS; i++) join(start(body, NULL));
    CHECK(runs == KEYS * THREADS * 4, "%d destructors ran", runs);
    return 0;
}
