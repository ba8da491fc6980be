/* A shared library that allocates before the program's main and frees after it. */
#include "check.h"

char *library_block;

__attribute__((constructor)) static void loaded(void) {
    library_block = calloc(1, 300);
    CHECK(library_block != NULL, "calloc in a library's constructor is null");
    fill(library_block, 300, 2);
}
__attribute__((destructor)) static void unloaded(void) { free(library_block); }
