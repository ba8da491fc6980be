/* Frees the place behind the last of three blocks of argv[1] bytes: the start of a block that nobody was ever given. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    char *last = NULL;
    for (int i = 0; i < 3; i++) {
        char *block = some_block(size);
        if (block > last) last = block;
    }
    size_t usable = malloc_usable_size(last);
    free(announce(last + usable, usable));
    return 0;
}
