/* argv[1], the library, is loaded into a running glibc process: both allocators live side by side. */
#include "threads.h"
#include <dlfcn.h>

static void *(*our_malloc)(size_t), *(*our_realloc)(void *, size_t), *(*our_mallocx)(size_t, int);
static void (*our_free)(void *), (*our_dallocx)(void *, int);
static size_t (*our_usable_size)(void *);

static void *find(void *library, const char *name) {
    void *symbol = dlsym(library, name);
    CHECK(symbol != NULL, "no %s: %s", name, dlerror());
    return symbol;
}

static void *use(void *unused) {
    enum { COUNT = 3000 };
    char *ours[COUNT], *glibcs[COUNT];
    for (int i = 0; i < COUNT; i++) {
        size_t size = (size_t)i * 13 % 5000 + 1;
        ours[i] = i % 2 ? our_malloc(size) : our_mallocx(size, 0);
        glibcs[i] = malloc(size);
        CHECK(ours[i] && glibcs[i], "no block of %zu", size);
        CHECK(our_usable_size(ours[i]) >= size, "usable %zu of %zu", our_usable_size(ours[i]), size);
        fill(ours[i], size, (uint64_t)i);
        fill(glibcs[i], size, (uint64_t)i);
    }
    for (int i = 0; i < COUNT; i++) {
        size_t size = (size_t)i * 13 % 5000 + 1;
        CHECK(first_difference(ours[i], size, (uint64_t)i) == size, "our block of %zu changed", size);
        CHECK(first_difference(glibcs[i], size, (uint64_t)i) == size, "glibc's block of %zu changed", size);
        if (i % 2) our_free(ours[i]);
        else our_dallocx(ours[i], 0);
        switch (i % 3) { /* a pointer that is not ours is handed on to its owner */
        case 0: free(glibcs[i]); break;
        case 1: our_free(glibcs[i]); break;
        case 2:
            CHECK(our_usable_size(glibcs[i]) >= size, "usable size of a foreign block");
            glibcs[i] = our_realloc(glibcs[i], size + 1000);
            CHECK(glibcs[i] && first_difference(glibcs[i], size, (uint64_t)i) == size, "realloc of a foreign block");
            our_free(glibcs[i]);
        }
    }
    return unused;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_late_dlopen LIBRARY");
    pthread_t before[4], after[4];
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL, "dlopen: %s", dlerror());
    our_malloc = find(library, "malloc");
    our_realloc = find(library, "realloc");
    our_free = find(library, "free");
    our_usable_size = find(library, "malloc_usable_size");
    our_mallocx = find(library, "mallocx");
    our_dallocx = find(library, "dallocx");
    CHECK(our_malloc != malloc, "malloc of the library is the program's");
    use(NULL);
    for (int i = 0; i < 4; i++) before[i] = start(use, NULL);
    for (int i = 0; i < 4; i++) join(before[i]);
    char *kept = our_malloc(100);
    fill(kept, 100, 3);
    CHECK(dlclose(library) == 0, "dlclose: %s", dlerror());
    for (int i = 0; i < 4; i++) after[i] = start(use, NULL); /* threads still end well: the code must still be there */
    for (int i = 0; i < 4; i++) join(after[i]);
    CHECK(first_difference(kept, 100, 3) == 100, "a block changed at dlclose");
    return 0;
}
