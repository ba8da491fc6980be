/* argv[1], the library, comes late, when every thread-specific key is taken: it is not told when threads end. Their
   stacks, and their thread-local memory with them, are unmapped: nothing may look there afterwards. */
#include "threads.h"
#include <dlfcn.h>
#include <limits.h>

static void *(*our_malloc)(size_t);
static void (*our_free)(void *);

static void *use(void *unused) {
    char *blocks[500];
    for (int i = 0; i < 500; i++) {
        size_t size = (size_t)i % 50 * 40 + 1;
        CHECK((blocks[i] = our_malloc(size)) != NULL, "no block of %zu", size);
        fill(blocks[i], size, (uint64_t)i);
    }
    for (int i = 0; i < 500; i++) {
        size_t size = (size_t)i % 50 * 40 + 1;
        CHECK(first_difference(blocks[i], size, (uint64_t)i) == size, "a block of %zu changed", size);
        our_free(blocks[i]);
    }
    return unused;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_no_keys LIBRARY");
    pthread_key_t key;
    int keys = 0;
    while (pthread_key_create(&key, NULL) == 0) keys++;
    CHECK(keys > 1000 && keys <= PTHREAD_KEYS_MAX, "%d keys", keys);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL, "dlopen: %s", dlerror());
    our_malloc = (void *(*)(size_t))dlsym(library, "malloc");
    our_free = (void (*)(void *))dlsym(library, "free");
    struct mallinfo2 (*figures)(void) = (struct mallinfo2(*)(void))dlsym(library, "mallinfo2");
    int (*trim)(size_t) = (int (*)(size_t))dlsym(library, "malloc_trim");
    CHECK(our_malloc && our_free && figures && trim, "dlsym: %s", dlerror());
    use(NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)64 << 20) == 0, "pthread_attr_setstacksize"); /* too large to be kept */
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, use, NULL) == 0, "pthread_create");
        join(thread);
    }
    CHECK(figures().uordblks < (size_t)1 << 20, "%zu bytes in use", figures().uordblks);
    trim(0);
    pid_t child = fork();
    if (child == 0) {
        use(NULL);
        figures();
        _exit(0);
    }
    child_succeeds(child, "a child");
    return 0;
}
