/* Frees an address that is argv[2] bytes behind the start of a block of argv[1] bytes twice. */
#include "misuse.h"

int main(int argc, char **argv) {
    char *block = some_block(argument(argc, argv, 1));
    char *at = announce(block + argument(argc, argv, 2), malloc_usable_size(block));
    free(hidden(at));
    free(hidden(at));
    dprintf(1, "survived\n");
    return 0;
}
