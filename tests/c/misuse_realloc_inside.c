/* realloc of a pointer argv[2] bytes into a live block of argv[1] bytes. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    char *block = some_block(size);
    return realloc(announce(block + argument(argc, argv, 2), malloc_usable_size(block)), 2 * size) == NULL;
}
