/* realloc of a freed block of argv[1] bytes. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    void *block = some_block(size);
    announce(block, malloc_usable_size(block));
    free(block);
    return realloc(hidden(block), 2 * size) == NULL;
}
