/* Blocks are taken in constructors, of this program and of a shared library, and given back in destructors. */
#include "check.h"
#include <dlfcn.h>

extern char *library_block; /* life_constructor_lib.c */
static char *own_block;

__attribute__((constructor)) static void before_main(void) {
    own_block = malloc(5000);
    CHECK(own_block != NULL, "malloc in a constructor is null");
    fill(own_block, 5000, 1);
}
__attribute__((destructor)) static void after_main(void) {
    CHECK(first_difference(own_block, 5000, 1) == 5000, "contents changed");
    free(own_block);
}

int main(void) {
    CHECK(library_block != NULL, "the library's constructor did not run");
    CHECK(first_difference(library_block, 300, 2) == 300, "contents changed");
    free(library_block);
    library_block = malloc(3000000); /* the library's destructor frees it */
    return library_block == NULL;
}
