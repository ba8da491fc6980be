/* argv[1] is opened with RTLD_DEEPBIND; blocks cross the border both ways, as between PHP and its extensions. */
#include "check.h"
#include <dlfcn.h>
#include <pthread.h>

static char *(*take)(size_t), *(*take_zero)(size_t, size_t), *(*grow)(char *, size_t);
static void (*give)(char *);
static size_t (*usable)(char *);

static void *find(void *plugin, const char *name) {
    void *symbol = dlsym(plugin, name);
    CHECK(symbol != NULL, "no %s: %s", name, dlerror());
    return symbol;
}

static void *cross(void *unused) {
    for (size_t size = 1; size < 3000000; size = size * 2 + 1) {
        char *theirs = take(size), *mine = malloc(size), *zero = take_zero(1, size);
        CHECK(theirs && mine && zero, "no block of %zu", size);
        fill(mine, size, size);
        CHECK(malloc_usable_size(theirs) >= size, "usable size of a block of the plug-in");
        CHECK(usable(mine) >= size, "the plug-in's usable size of our block");
        theirs = realloc(theirs, size * 2 + 100);
        mine = grow(mine, size * 2 + 100);
        zero = realloc(zero, size + 1);
        CHECK(theirs && mine && zero, "no block of %zu", size * 2);
        CHECK(first_difference(theirs, size, size) == size, "contents of the plug-in's %zu", size);
        CHECK(first_difference(mine, size, size) == size, "contents of our %zu", size);
        CHECK(zero[size - 1] == 0, "calloc");
        mine = grow(realloc(mine, size), size + 1);
        free(theirs);
        give(mine);
        give(take(size));
        give(zero);
    }
    return unused;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_deepbind PLUGIN");
    void *plugin = dlopen(argv[1], RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND);
    CHECK(plugin != NULL, "dlopen: %s", dlerror());
    take = (char *(*)(size_t))find(plugin, "plugin_take");
    take_zero = (char *(*)(size_t, size_t))find(plugin, "plugin_take_zero");
    grow = (char *(*)(char *, size_t))find(plugin, "plugin_grow");
    give = (void (*)(char *))find(plugin, "plugin_give");
    usable = (size_t (*)(char *))find(plugin, "plugin_usable");
    int (*libc)(void) = (int (*)(void))find(plugin, "plugin_libc");
    int failed = libc();
    CHECK(failed == 0, "plugin_libc: %d", failed);
    cross(NULL);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, cross, NULL) == 0, "pthread_create");
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0, "pthread_join");
    CHECK(dlclose(plugin) == 0, "dlclose: %s", dlerror());
    return 0;
}
