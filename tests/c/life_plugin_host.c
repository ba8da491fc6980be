/* Loads and unloads the plug-in argv[1] many times; blocks cross the border both ways. */
#include "check.h"
#include <dlfcn.h>

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_plugin_host PLUGIN");
    for (int round = 0; round < 50; round++) {
        void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        CHECK(plugin != NULL, "dlopen: %s", dlerror());
        char *(*take)(size_t) = (char *(*)(size_t))dlsym(plugin, "plugin_take");
        void (*give)(char *) = (void (*)(char *))dlsym(plugin, "plugin_give");
        CHECK(take && give, "dlsym: %s", dlerror());
        for (size_t size = 1; size < 1000000; size = size * 2 + 1) {
            char *theirs = take(size), *mine = malloc(size);
            CHECK(theirs && mine, "no block of %zu", size);
            CHECK(first_difference(theirs, size, size) == size, "contents of %zu", size);
            free(theirs);
            give(mine);
        }
        CHECK(dlclose(plugin) == 0, "dlclose: %s", dlerror());
    }
    return 0;
}
