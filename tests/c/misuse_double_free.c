/* free(p); free(p); of a block of argv[1] bytes. */
#include "misuse.h"

int main(int argc, char **argv) {
    void *block = some_block(argument(argc, argv, 1));
    announce(block, malloc_usable_size(block));
    free(block);
    free(hidden(block));
    return 0;
}
