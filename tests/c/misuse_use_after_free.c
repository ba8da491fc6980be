/* Uses a block of argv[1] bytes after its free: argv[2] is "read" or "write"; argv[3], if given, is a number of blocks of its size that
   are allocated and freed before that (then the memory may belong to another block by now). */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1), others = argc > 3 ? argument(argc, argv, 3) : 0;
    volatile char *block = announce(some_block(size), size);
    memset((char *)block, 'x', size);
    free((char *)block);
    for (size_t i = 0; i < others; i++) {
        char *other = some_block(size);
        memset(other, 'o', size);
        free(hidden(other));
    }
    if (!strcmp(argv[2], "read")) (void)block[size / 2];
    else block[size / 2] = 'y';
    for (size_t i = 0; i < others; i++) free(hidden(some_block(size)));
    dprintf(1, "survived\n");
    return 0;
}
